// A run fails where one of those fails whose results it uses. `in_which` holds their number and the places of their status
// words.

@group(0) @binding(0) var<storage, read> in_words: array<u32>;
@group(0) @binding(1) var<storage, read> in_which: array<u32>;
@group(0) @binding(2) var<storage, read_write> status: array<u32>;

@compute @workgroup_size(1)
fn main() {
    let n = min(in_which[0], arrayLength(&in_which) - 1u);
    for (var i = 0u; i < n; i++) {
        let at = in_which[i + 1u];
        if (at < arrayLength(&in_words) && in_words[at] != 0u) {
            status[0] = 0xffffffffu;
        }
    }
}
