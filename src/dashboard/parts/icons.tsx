/** Icons of 16 × 16 pixels with one line width. An icon without words beside it needs a label. */
const PATHS = {
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13",
  moon: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z",
  out: "M6 2H3v12h3M10 11l3-3-3-3M13 8H6",
  close: "m4 4 8 8m0-8-8 8",
  minus: "M3 8h10",
  plus: "M3 8h10M8 3v10",
  play: "M5 3v10l8-5z",
  pause: "M5.5 3v10M10.5 3v10",
  down: "M8 2v9M4 7.5 8 11.5l4-4M3 14h10",
  link: "M6.5 9.5l3-3M5 7 3.5 8.5a2.8 2.8 0 0 0 4 4L9 11M7 5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 9",
  more: "M3 8h.01M8 8h.01M13 8h.01",
  left: "M10 3 5 8l5 5",
  right: "m6 3 5 5-5 5",
  folder: "M2 4h4l1.5 2H14v7H2z",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width={name === "more" ? 2.5 : 1.5}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The logo: the boards of a stage (a tablao), one of them lit. */
export function Logo() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <g fill="currentColor">
        <rect y="2" width="20" height="4" rx="1" />
        <rect y="8" width="12" height="4" rx="1" />
        <rect y="14" width="20" height="4" rx="1" />
      </g>
      <rect x="14" y="8" width="6" height="4" rx="1" fill="var(--failed)" />
    </svg>
  );
}
