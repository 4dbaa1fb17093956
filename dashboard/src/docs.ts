import "./app.css";
import "./lib/theme.svelte";
import { mount } from "svelte";
import Docs from "./docs/Docs.svelte";

mount(Docs, { target: document.getElementById("app")! });
