// Times the lines of shapes.jsonl with every build that the engine runs, in turns, and shows milliseconds. With `?report` in
// the address each time is also posted to /result, and then the end. What the first build that has a time computes is given to the
// others, to compare. `seconds` is how long an operation is timed for, `most` how long a run may take, `limit` how long a build may
// take for a line before it is given up, `builds` which builds.

import { usable } from "./builds.js";
import { number, table } from "./table.js";

const asked = new URLSearchParams(location.search);
const seconds = Number(asked.get("seconds") ?? 0.3);
const most = Number(asked.get("most") ?? 10);
const limit = Number(asked.get("limit") ?? 300);

async function post(body) {
  if (asked.has("report")) await fetch("result", { method: "POST", body: JSON.stringify(body) });
}

// One message to a new worker, and its answer.
function time(build, module, line, like) {
  const worker = new Worker("shape-worker.js", { type: "module" });
  let clock;
  const answer = new Promise((resolve) => {
    const fail = (failed) => resolve({ time: { shape: line, failed } });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => fail(event.message ?? "the worker ended");
    // Seconds are counted: a machine may stop the browser for a while.
    let left = limit;
    clock = setInterval(() => --left < 0 && fail(`no answer within ${limit} s`), 1000);
  });
  worker.postMessage({ build, module, line, seconds, most, like });
  return answer.finally(() => {
    clearInterval(clock);
    worker.terminate();
  });
}

function cells({ forward, both, skipped, failed }) {
  return skipped || failed ? [{ text: skipped ?? failed }, { text: "" }] : [number(forward, 3), number(both, 3)];
}

try {
  const only = asked.get("builds")?.split(",");
  // The plainest first.
  const names = (await usable()).reverse().filter((name) => !only || only.includes(name));
  if (names.length === 0) throw new Error("none of the builds runs in this engine");
  const compile = (name) => WebAssembly.compileStreaming(fetch(`${name}/wgrad_web_shapes_bg.wasm`));
  const modules = await Promise.all(names.map(compile));
  const lines = (await (await fetch("shapes.jsonl")).text()).split("\n").filter((line) => line.trim());
  await post({ builds: names, lines: lines.length, engine: navigator.userAgent });
  const heads = names.flatMap((name) => [`${name}, forward, ms`, "with gradients, ms"]);
  const shown = table("", ["operation", ...heads], []);
  document.getElementById("outcome").append(shown);
  for (const [ix, line] of lines.entries()) {
    document.getElementById("status").textContent = `${ix} of ${lines.length} lines`;
    const times = [];
    let like = new Float32Array();
    for (const [ix, name] of names.entries()) {
      const answer = await time(name, modules[ix], line, like);
      if (like.length === 0 && answer.results) like = answer.results;
      times.push(answer.time);
      await post({ time: answer.time });
    }
    shown.addRow([{ text: times[0].shape }, ...times.flatMap(cells)]);
  }
  document.getElementById("status").textContent = `${lines.length} lines`;
  await post({ end: true });
} catch (cause) {
  document.getElementById("error").textContent = String(cause?.stack ?? cause);
  await post({ error: String(cause?.stack ?? cause) });
}
