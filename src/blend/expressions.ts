/**
 * Whether Blender evaluates a driver's expression when scripts are off. There are two ways in which it does:
 *
 * 1. Its own evaluator of arithmetic (facts: `blenlib/intern/expr_pylike_eval`).
 * 2. Python, if the compiled expression uses only a list of names and of operations, which has no access to
 *    attributes, no functions and no loops (facts: `python/intern/bpy_driver`).
 */

/** Functions of Blender's own evaluator, with the numbers of arguments that they take. */
const OWN_FUNCTIONS = new Map<string, number[]>([
  ..."radians degrees abs fabs floor ceil trunc round int sin cos tan asin acos atan exp sqrt"
    .split(" ")
    .map((name): [string, number[]] => [name, [1]]),
  ["atan2", [2]],
  ["log", [1, 2]],
  ["pow", [2]],
  ["fmod", [2]],
  ["lerp", [3]],
  ["clamp", [1, 3]],
  ["smoothstep", [3]],
]);
const OWN_CONSTANTS = new Set(["pi", "True", "False"]);

/** Names that restricted Python has: some built-in functions, Blender's, and all of `math`. */
const PYTHON_NAMES = new Set(
  (
    "all any len max min pow round sum bool float int clamp lerp smoothstep frame True False None " +
    "acos acosh asin asinh atan atan2 atanh ceil comb copysign cos cosh degrees dist e erf erfc exp expm1 fabs " +
    "factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log " +
    "log10 log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp"
  ).split(" "),
);
/** Names that only some versions have, or that are of use without their attributes in some. */
const UNSURE_NAMES = new Set(["self", "depsgraph", "bpy", "noise", "cbrt", "exp2", "sumprod", "fma"]);
const OPERATORS = new Set(["and", "or", "not", "if", "else", "in", "is"]);

const TOKEN =
  /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|("[^"\\]*"|'[^'\\]*')|(==|!=|<=|>=|<<|>>|\*\*|\/\/|[-+*/%@&|^~<>()[\]{},.:=]))/y;

interface Token {
  kind: "number" | "name" | "text" | "sign";
  text: string;
}

/** The tokens of an expression; undefined when it has something else. */
function tokensOf(expression: string): Token[] | undefined {
  const tokens: Token[] = [];
  const text = expression.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (!match) return undefined;
    const [, number, name, literal, sign] = match;
    if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (name !== undefined) tokens.push({ kind: "name", text: name });
    else if (literal !== undefined) tokens.push({ kind: "text", text: literal });
    else tokens.push({ kind: "sign", text: sign! });
  }
  return tokens;
}

/** Recognises what Blender's own evaluator takes. */
class OwnGrammar {
  readonly #tokens: Token[];
  readonly #names: ReadonlySet<string>;
  #at = 0;

  constructor(tokens: Token[], names: ReadonlySet<string>) {
    this.#tokens = tokens;
    this.#names = names;
  }

  accepts(): boolean {
    return this.#ternary() && this.#at === this.#tokens.length;
  }

  #is(text: string): boolean {
    const token = this.#tokens[this.#at];
    return token !== undefined && token.kind !== "text" && token.text === text;
  }

  #take(...texts: string[]): boolean {
    const found = texts.some((text) => this.#is(text));
    if (found) this.#at++;
    return found;
  }

  #ternary(): boolean {
    if (!this.#or()) return false;
    return !this.#take("if") || (this.#or() && this.#take("else") && this.#ternary());
  }

  #or(): boolean {
    return this.#and() && (!this.#take("or") || this.#or());
  }

  #and(): boolean {
    return this.#not() && (!this.#take("and") || this.#and());
  }

  #not(): boolean {
    return this.#take("not") ? this.#not() : this.#chain(() => this.#sum(), "==", "!=", "<", "<=", ">", ">=");
  }

  #sum(): boolean {
    return this.#chain(() => this.#chain(() => this.#unary(), "*", "/"), "+", "-");
  }

  #chain(part: () => boolean, ...operators: string[]): boolean {
    do if (!part()) return false;
    while (this.#take(...operators));
    return true;
  }

  #unary(): boolean {
    if (this.#take("+", "-")) return this.#unary();
    if (this.#take("(")) return this.#ternary() && this.#take(")");
    const token = this.#tokens[this.#at++];
    if (token?.kind === "number") return !/^0\d*[1-9]\d*$/.test(token.text);
    if (token?.kind !== "name") return false;
    if (this.#names.has(token.text) || OWN_CONSTANTS.has(token.text)) return true;
    const counts = OWN_FUNCTIONS.get(token.text);
    const isMinMax = token.text === "min" || token.text === "max";
    if (!counts && !isMinMax) return false;
    if (!this.#take("(")) return false;
    let count = 0;
    do {
      if (!this.#ternary()) return false;
      count++;
    } while (this.#take(","));
    return this.#take(")") && (isMinMax || counts!.includes(count));
  }
}

/**
 * @param variables names of the driver's variables
 * @returns `unsure` where versions of Blender differ, or the expression is not understood here
 */
export function kindOfExpression(expression: string, variables: readonly string[]): "simple" | "script" | "unsure" {
  if (expression.trim() === "") return "simple";
  const tokens = tokensOf(expression);
  const names = new Set([...variables, "frame"]);
  if (tokens && new OwnGrammar(tokens, names).accepts()) return "simple";
  // What cannot be read here (an escape, another script) can still not hide a dot or a keyword.
  if (!tokens) return /[A-Za-z_)\]"']\s*\.\s*[A-Za-z_]|\b(lambda|for|import)\b/.test(expression) ? "script" : "unsure";
  return kindInPython(tokens, names);
}

function kindInPython(tokens: Token[], names: ReadonlySet<string>): "simple" | "script" | "unsure" {
  let sure = true;
  let comparisons = 0;
  const brackets: string[] = [];
  for (const [at, { kind, text }] of tokens.entries()) {
    const previous = tokens[at - 1];
    const next = tokens[at + 1];
    if (kind === "name") {
      // Formatted text, and functions by keyword.
      if (next?.kind === "text" && !OPERATORS.has(text)) return "script";
      const isKeyword = next?.text === "=" && brackets.at(-1) === "(";
      if (OPERATORS.has(text) || names.has(text) || PYTHON_NAMES.has(text) || isKeyword) continue;
      if (!UNSURE_NAMES.has(text)) return "script";
      sure = false;
    }
    if (kind !== "sign") continue;
    if (text === ".") return "script";
    if ("([{".includes(text)) brackets.push(text);
    if (")]}".includes(text) && brackets.pop() === undefined) sure = false;
    if (/^([<>]=?|[=!]=)$/.test(text)) comparisons++;
    // Dictionaries and lists of arguments compile to different operations in different Pythons.
    if (text === ":" && brackets.at(-1) !== "[") sure = false;
    if ((text === "*" || text === "**") && previous?.kind === "sign" && "([{,".includes(previous.text)) sure = false;
  }
  // So do comparisons in a row, and a step of a slice is rare enough.
  if (comparisons > 1 || brackets.length > 0) sure = false;
  return sure ? "simple" : "unsure";
}
