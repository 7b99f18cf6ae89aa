// Loads the best build of the wasm module that the engine runs, or the one that `?build` names, runs its checks and shows them.
// With `?report` in the address it also posts the outcome to /result, for a test runner that serves this page. It holds no logic
// of its own.

import { usable } from "./builds.js";
import { number, table } from "./table.js";

const report = new URLSearchParams(location.search).has("report");
const problems = [];
let finished = false;

// A Rust panic reaches the page as a line on the console and then a trap: keep the line for the report.
const consoleError = console.error.bind(console);
console.error = (...words) => {
  problems.push(words.map(String).join(" "));
  consoleError(...words);
};

async function finish(outcome) {
  if (finished) return;
  finished = true;
  show(outcome);
  if (report) await fetch("result", { method: "POST", body: JSON.stringify(outcome) });
}

function show({ device, checks, tables, error }) {
  const failed = (checks ?? []).filter((check) => !check.passed).length;
  const summary = `${(checks ?? []).length - failed} passed, ${failed} failed`;
  document.getElementById("status").textContent = device ? `${device}: ${summary}` : "";
  document.getElementById("error").textContent = error ?? "";
  const shown = document.getElementById("outcome");
  if (checks) shown.append(table("Checks", ["", "check", "seen", "seconds"], checks.map(checkRow)));
  for (const { name, columns } of tables ?? []) shown.append(lossTable(name, columns));
}

function checkRow({ name, passed, detail, seconds }) {
  const mark = { text: passed ? "✓" : "✗", class: passed ? "passed" : "failed" };
  return [mark, { text: name }, { text: detail }, number(seconds, 2)];
}

function lossTable(name, columns) {
  const steps = columns[0].losses.map((_, step) => [
    number(step, 0),
    ...columns.map(({ losses }) => number(losses[step], 6)),
  ]);
  return table(`Losses: ${name}`, ["step", ...columns.map(({ place }) => place)], steps);
}

function fail(cause) {
  finish({ error: [String(cause?.stack ?? cause), ...problems].join("\n") });
}

addEventListener("error", (event) => fail(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));

async function expectedLosses() {
  const response = await fetch("expected.json");
  if (!response.ok) throw new Error(`expected.json: ${response.status}`);
  return response.text();
}

try {
  const builds = await usable();
  const build = new URLSearchParams(location.search).get("build") ?? builds[0];
  if (!builds.includes(build)) {
    const wanted = build ?? "vectors of 128 bits (WebAssembly SIMD), as every browser with WebGPU has had";
    throw new Error(`this engine lacks ${wanted}`);
  }
  const { default: init, run } = await import(`./${build}/wgrad_web.js`);
  await init();
  const expected = await expectedLosses();
  document.getElementById("status").textContent = "Running…";
  const outcome = JSON.parse(await run(expected));
  if (outcome.device) outcome.device += `, ${build}`;
  await finish(outcome);
} catch (cause) {
  fail(cause);
}
