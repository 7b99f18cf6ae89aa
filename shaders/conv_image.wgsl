// The input of a convolution as a matrix of windows: an element is (window corner) + (tap).

fn b_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    let at = r.yzw + c.yzw;
    let size = vec3<i32>(i32(params.in_d), i32(params.in_h), i32(params.in_w));
    if (all(at >= vec3<i32>()) && all(at < size)) {
        return load_b(r.x + c.x);
    }
    return 0.0;
}
