// Times one line with one build, in a thread and a memory of its own: whatever becomes of it, the page goes on.

const problems = [];
console.error = (...words) => problems.push(words.map(String).join(" "));

addEventListener("message", async ({ data: { build, module, line, seconds, most } }) => {
  try {
    const { default: init, time_shape } = await import(`./${build}/wgrad_web_shapes.js`);
    await init({ module_or_path: module });
    postMessage(JSON.parse(time_shape(line, seconds, most)));
  } catch (cause) {
    postMessage({ shape: line, skipped: [...problems, String(cause)].join(" ") });
  }
});
