// Times the lines of shapes.jsonl with every build that the engine runs, in turns, and shows milliseconds. With `?report` in
// the address each row is also posted to /result, and then the end. `seconds` is how long an operation is timed for, `most` how
// long a run may take, `builds` which builds.

import { usable } from "./builds.js";
import { number, table } from "./table.js";

const asked = new URLSearchParams(location.search);
const seconds = Number(asked.get("seconds") ?? 0.3);
const most = Number(asked.get("most") ?? 10);

async function post(body) {
  if (asked.has("report")) await fetch("result", { method: "POST", body: JSON.stringify(body) });
}

// One message to a new worker, and its answer.
function time(build, module, line) {
  const worker = new Worker("shape-worker.js", { type: "module" });
  const answer = new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => resolve({ shape: line, skipped: event.message ?? "the worker ended" });
  });
  worker.postMessage({ build, module, line, seconds, most });
  return answer.finally(() => worker.terminate());
}

function cells({ forward, both, skipped }) {
  return skipped ? [{ text: skipped }, { text: "" }] : [number(forward, 3), number(both, 3)];
}

try {
  const only = asked.get("builds")?.split(",");
  // The plainest first.
  const names = (await usable()).reverse().filter((name) => !only || only.includes(name));
  if (names.length === 0) throw new Error("none of the builds runs in this engine");
  const compile = (name) => WebAssembly.compileStreaming(fetch(`${name}/wgrad_web_shapes_bg.wasm`));
  const modules = await Promise.all(names.map(compile));
  await post({ builds: names, engine: navigator.userAgent });
  const lines = (await (await fetch("shapes.jsonl")).text()).split("\n").filter((line) => line.trim());
  const heads = names.flatMap((name) => [`${name}, forward, ms`, "with gradients, ms"]);
  const shown = table("", ["operation", ...heads], []);
  document.getElementById("outcome").append(shown);
  for (const [ix, line] of lines.entries()) {
    document.getElementById("status").textContent = `${ix} of ${lines.length} lines`;
    const times = [];
    for (const [ix, name] of names.entries()) times.push(await time(name, modules[ix], line));
    shown.addRow([{ text: times[0].shape }, ...times.flatMap(cells)]);
    await post({ row: times });
  }
  document.getElementById("status").textContent = `${lines.length} lines`;
  await post({ end: true });
} catch (cause) {
  document.getElementById("error").textContent = String(cause?.stack ?? cause);
  await post({ error: String(cause?.stack ?? cause) });
}
