// Loads the wasm module, runs its checks and shows them. With `?report` in the address it also posts the
// outcome to /result, for a test runner that serves this page. It holds no logic of its own.

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

function number(value, digits) {
  return { text: value == null ? "–" : value.toFixed(digits), class: "number" };
}

function table(caption, heads, rows) {
  const made = document.createElement("table");
  made.createCaption().textContent = caption;
  const head = made.createTHead().insertRow();
  for (const text of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const cell of cells) {
      const made = row.insertCell();
      made.textContent = cell.text;
      if (cell.class) made.className = cell.class;
    }
  }
  return made;
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
  const { default: init, run } = await import("./wgrad_web.js");
  await init();
  const expected = await expectedLosses();
  document.getElementById("status").textContent = "Running…";
  await finish(JSON.parse(await run(expected)));
} catch (cause) {
  fail(cause);
}
