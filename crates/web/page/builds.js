// Which builds of the wasm module the engine can run. They differ in the vector instructions that they use; folders of this
// page are called as they are. An engine is asked whether it takes a tiny module with one such instruction.

// A module with one function that gives a vector.
function vectors(...code) {
  const body = [0, ...code, 0x0b];
  const section = [1, body.length, ...body];
  // Magic and version; a type () -> v128; one function of it; its code.
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, section.length, ...section,
  ]);
}

const zeros = [0x41, 0, 0xfd, 15]; // i32.const 0, i8x16.splat
const relaxedMultiplyAdd = [...zeros, ...zeros, ...zeros, 0xfd, 0x85, 2];

// The best first.
const builds = [
  { name: "relaxed-simd", needs: vectors(...relaxedMultiplyAdd) },
  { name: "simd128", needs: vectors(...zeros) },
  { name: "scalar", needs: vectors(...zeros).subarray(0, 8) },
];

// The names of those that run here and were built.
export async function usable() {
  const built = await (await fetch("builds.json")).json();
  const runs = ({ name, needs }) => built.includes(name) && WebAssembly.validate(needs);
  return builds.filter(runs).map(({ name }) => name);
}
