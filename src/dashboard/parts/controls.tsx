/** Form fields, dialogs and copy boxes, which many views use. */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { isLoopback, joinCommand, joinCommandWindows } from "../../protocol/join-command.ts";
import { call } from "../lib/api.ts";
import { copyTextOf } from "../lib/copy.ts";
import { text } from "../text.ts";
import { attempt, covers, Messages, say } from "./messages.tsx";

/** A command with a button that copies it. */
export function CopyBox({ value, label }: { value: string; label: string }) {
  const copied = useSignal(false);
  useSignalEffect(() => {
    if (!copied.value) return;
    const timer = setTimeout(() => (copied.value = false), 2_000);
    return () => clearTimeout(timer);
  });
  const shown = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    copied.value = await copyTextOf(shown.current!);
    if (!copied.value) say(text.copyFailed);
  };
  return (
    <div class="copy">
      <code ref={shown} tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {value}
      </code>
      <button type="button" class="button" onClick={() => void copy()} aria-label={`${text.copy}: ${label}`}>
        {copied.value ? text.copied : text.copy}
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

/** A field with its label, and below it what is wrong with its value, or else a hint. */
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

/** A modal dialog. Escape closes it, and the focus returns to the element that had it before. */
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

/** Ask for confirmation. The button that changes nothing has the focus. */
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

/** A box to copy from under its label. */
function CopyRow({ value, label }: { value: string; label: string }) {
  return (
    <div>
      <p class="quiet small" aria-hidden="true">
        {label}
      </p>
      <CopyBox value={value} label={label} />
    </div>
  );
}

/** The lines that make a machine a worker of this manager; they are shown once. */
export function JoinCommandBox({ token, expires_ms }: JoinCommand) {
  const service = useSignal(false);
  const options = { service: service.value };
  return (
    <div class="stack close">
      <CopyRow value={joinCommand(location.origin, token, options)} label={text.join.command} />
      <CopyRow value={joinCommandWindows(location.origin, token, options)} label={text.join.commandWindows} />
      <label class="check">
        <input
          type="checkbox"
          checked={service.value}
          onChange={(event) => (service.value = event.currentTarget.checked)}
        />
        {text.join.service}
      </label>
      {isLoopback(location.origin) && <p class="wrong small">{text.join.loopback(location.hostname)}</p>}
      <p class="quiet small">{text.join.once(expires_ms)}</p>
    </div>
  );
}

/** A button that makes a join token and then shows the join lines. For admins. */
export function JoinMaker() {
  const made = useSignal<JoinCommand | null>(null);
  const make = (): void => {
    const body = { role: "join", name: text.join.tokenName };
    void attempt(async () => (made.value = await call<JoinCommand>("POST", "/tokens", { body })));
  };
  if (made.value) return <JoinCommandBox {...made.value} />;
  return (
    <button type="button" class="button main" onClick={make}>
      {text.join.make}
    </button>
  );
}
