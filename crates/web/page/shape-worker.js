// Times one line with one build, in a thread and a memory of its own: whatever becomes of it, the page goes on.

const problems = [];
console.error = (...words) => problems.push(words.map(String).join(" "));

let shape = "";

function fail(cause) {
  postMessage({ time: { shape, failed: [...problems, String(cause)].join(" ") } });
}

// A trap in the module's own tasks rejects no promise that anybody waits for.
addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));

addEventListener("message", async ({ data: { build, module, line, seconds, most, like } }) => {
  shape = line;
  try {
    const { default: init, time_shape } = await import(`./${build}/wgrad_web_shapes.js`);
    await init({ module_or_path: module });
    const { report, results } = await time_shape(line, seconds, most, like);
    postMessage({ time: JSON.parse(report), results }, [results.buffer]);
  } catch (cause) {
    fail(cause);
  }
});
