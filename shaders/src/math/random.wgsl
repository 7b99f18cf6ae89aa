// Wide multiplication and the counter-based generator Philox 4x32 with ten rounds (Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", 2011). Exact: the same words on every device.

// a * b as (low word, high word), from 16-bit halves.
fn w_mul64(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let ll = al * bl;
    let t = ah * bl + (ll >> 16u);
    let u = al * bh + (t & 0xffffu);
    return vec2<u32>((u << 16u) | (ll & 0xffffu), ah * bh + (t >> 16u) + (u >> 16u));
}

fn w_philox_round(c: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let p = w_mul64(c.x, 0xd2511f53u);
    let q = w_mul64(c.z, 0xcd9e8d57u);
    return vec4<u32>(q.y ^ c.y ^ key.x, q.x, p.y ^ c.w ^ key.y, p.x);
}

fn w_philox(ctr: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = ctr;
    var k = key;
    for (var i = 0; i < 10; i++) {
        c = w_philox_round(c, k);
        k = k + vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
