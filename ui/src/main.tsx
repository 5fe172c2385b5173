// Begins.

import "./style/index.css";
import "@preact/signals";
import { render } from "preact";
import { App } from "./app";
import "./keys";

const host = document.getElementById("app");
if (host !== null) render(<App />, host);
