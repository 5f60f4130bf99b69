/**
 * Copies the text of an element. Answers false when the browser refuses; the text is then selected, so
 * that the viewer can copy it by hand.
 */
export async function copyTextOf(element: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // Without permission, or over plain http, where `clipboard` does not exist. The older command
    // copies what is selected.
    getSelection()?.selectAllChildren(element);
    return document.execCommand("copy");
  }
}
