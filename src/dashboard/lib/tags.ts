/** The tags in a text that a person typed, with commas or spaces between them. */
export function tagsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
