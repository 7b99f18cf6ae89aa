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

function show({ device, checks, error }) {
  const list = document.getElementById("checks");
  for (const { name, passed, detail } of checks ?? []) {
    const item = document.createElement("li");
    item.className = passed ? "passed" : "failed";
    item.textContent = `${name}: ${detail}`;
    list.append(item);
  }
  document.getElementById("status").textContent = device ?? "";
  document.getElementById("error").textContent = error ?? "";
}

function fail(cause) {
  finish({ error: [String(cause?.stack ?? cause), ...problems].join("\n") });
}

addEventListener("error", (event) => fail(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));

try {
  const { default: init, run } = await import("./wgrad_web.js");
  await init();
  document.getElementById("status").textContent = "Running…";
  await finish(JSON.parse(await run()));
} catch (cause) {
  fail(cause);
}
