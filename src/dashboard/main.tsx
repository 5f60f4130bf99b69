/** The entry point of the page. */
import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/controls.css";
import "./style/facts.css";
import { startClock } from "./lib/clock.ts";
import { startRouter } from "./lib/router.ts";
import { startTheme } from "./lib/theme.ts";
import { Page } from "./views/page.tsx";

startTheme();
startClock();
startRouter();
render(<Page />, document.querySelector("#page")!);
