/** Small things that many views use. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { call } from "../lib/api.ts";
import { text } from "../text.ts";
import { attempt, covers, Messages, say } from "./messages.tsx";

/** A command with a button that copies it. */
export function CopyBox({ value, label }: { value: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(value);
      setCopied(true);
    } catch {
      // No leave, or no https: select it, so that a key press copies it.
      say(text.copyFailed);
    }
  };
  return (
    <div class="copy">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {value}
      </code>
      <button type="button" class="button" onClick={() => void copy()} aria-label={`${text.copy}: ${label}`}>
        {copied ? text.copied : text.copy}
      </button>
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  children: (attributes: {
    id: string;
    "aria-describedby": string | undefined;
    "aria-invalid": "true" | undefined;
  }) => ComponentChildren;
}

/** A labelled field, its hint and what is wrong with it. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const about = error ?? hint;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        "aria-describedby": about === undefined ? undefined : `${id}-about`,
        "aria-invalid": error === undefined ? undefined : "true",
      })}
      {about !== undefined && (
        <span id={`${id}-about`} class={error === undefined ? "hint" : "wrong"}>
          {about}
        </span>
      )}
    </div>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog; Escape closes it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    covers.value++;
    return () => {
      covers.value--;
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose} onCancel={onClose}>
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
      <Messages inDialog />
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  words: string;
  action: string;
  onClose: () => void;
  onYes: () => void;
}

export function Confirm({ title, words, action, onClose, onYes }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{words}</p>
      <div class="actions">
        <button
          type="button"
          class="button main"
          onClick={() => {
            onClose();
            onYes();
          }}
        >
          {action}
        </button>
        <button type="button" class="button" onClick={onClose} autofocus>
          {text.cancel}
        </button>
      </div>
    </Dialog>
  );
}

interface JoinCommand {
  token: string;
  expires_ms: number | null;
}

/** The command that makes a machine a worker of this manager. */
export function joinCommandOf(token: string): string {
  return `npx tablao worker --manager ${location.origin} --join ${token}`;
}

/** A button that makes a join token, and then the command with it. For admins. */
export function JoinMaker() {
  const [made, setMade] = useState<JoinCommand | null>(null);
  const make = (): void => {
    const body = { role: "join", name: text.join.tokenName };
    void attempt(async () => setMade(await call<JoinCommand>("POST", "/tokens", { body })));
  };
  if (made) {
    return (
      <div class="stack close">
        <CopyBox value={joinCommandOf(made.token)} label={text.join.command} />
        <p class="quiet small">{text.join.once(made.expires_ms)}</p>
      </div>
    );
  }
  return (
    <button type="button" class="button main" onClick={make}>
      {text.join.make}
    </button>
  );
}
