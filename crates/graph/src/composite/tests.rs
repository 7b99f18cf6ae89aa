//! Composites against loops over indices, with arguments beyond the common ones, and bad arguments, which must give
//! errors and never panic.

use crate::{
    AttentionOptions, ConvOptions, ConvTransposeOptions, CrossEntropyOptions, DType, Device,
    InterpolateOptions, Interpolation, PoolOptions, Reduction, Tensor, TripletMarginOptions,
    UnfoldOptions, grad,
};

fn numbers(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let v: Vec<f32> = (0..n)
        .map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0)
        .collect();
    Tensor::from_slice(&v, shape, &Device::reference())
}

fn values(t: &Tensor) -> Vec<f32> {
    t.to_vec::<f32>().expect("a valid tensor")
}

fn close(t: &Tensor, want: &[f32]) {
    let got = values(t);
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= 1e-5 * (1.0 + w.abs()),
            "element {i}: {g}, not {w}"
        );
    }
}

/// Means of windows in one dimension by PyTorch's rule.
fn means(x: &[f32], k: isize, s: isize, p: isize, ceil: bool, pad_counts: bool) -> Vec<f32> {
    let n = x.len() as isize;
    let room = n + 2 * p - k + if ceil { s - 1 } else { 0 };
    let mut out = room / s + 1;
    if ceil && (out - 1) * s >= n + p {
        out -= 1;
    }
    let mean = |o: isize| {
        let (start, end) = (o * s - p, (o * s - p + k).min(n + p));
        let inside = start.max(0)..end.min(n);
        let count = if pad_counts {
            end - start
        } else {
            inside.end - inside.start
        };
        inside.map(|i| x[i as usize]).sum::<f32>() / count as f32
    };
    (0..out).map(mean).collect()
}

#[test]
fn means_of_windows_with_every_option() {
    for n in 3..9 {
        let x = numbers(&[1, 1, n]);
        for (k, s, p) in [
            (2, 2, 1),
            (3, 2, 1),
            (3, 3, 0),
            (2, 3, 1),
            (4, 3, 2),
            (1, 2, 0),
            (4, 5, 1),
        ] {
            for (ceil, pad) in [(false, true), (true, true), (true, false), (false, false)] {
                if n + 2 * p < k {
                    continue;
                }
                let options = PoolOptions::windows([k])
                    .stride([s])
                    .padding([p])
                    .ceil_mode(ceil)
                    .count_include_pad(pad);
                let want = means(&values(&x), k as isize, s as isize, p as isize, ceil, pad);
                close(&x.avg_pool1d(&options), &want);
            }
        }
    }
}

#[test]
fn adaptive_windows() {
    let x = numbers(&[2, 7]);
    let v = values(&x);
    for out in [1, 2, 3, 5, 7, 9] {
        let window = |o: usize| (o * 7 / out)..((o + 1) * 7).div_ceil(out);
        let (mut mean, mut max, mut at) = (Vec::new(), Vec::new(), Vec::new());
        for row in v.chunks(7) {
            for o in 0..out {
                let w = window(o);
                mean.push(row[w.clone()].iter().sum::<f32>() / w.len() as f32);
                let best = w.fold(o * 7 / out, |a, b| if row[b] > row[a] { b } else { a });
                max.push(row[best]);
                at.push(best as i32);
            }
        }
        close(&x.adaptive_avg_pool1d([Some(out)]), &mean);
        let (got, index) = x.adaptive_max_pool1d([Some(out)]);
        close(&got, &max);
        assert_eq!(index.to_vec::<i32>().expect("positions"), at);
    }
    let image = numbers(&[1, 5, 7]);
    let (got, index) = image.adaptive_max_pool2d([Some(3), None]);
    let (want, place) = image.max_pool2d_with_indices(&PoolOptions::windows([2, 1]).stride([1, 1]));
    let rows = |t: &Tensor| t.index_select(1, &Tensor::new(&[0, 3], t.device()));
    let ends = Tensor::new(&[0, 2], image.device());
    close(&got.index_select(1, &ends), &values(&rows(&want)));
    let places = rows(&place).to_vec::<i32>().expect("positions");
    assert_eq!(
        index
            .index_select(1, &ends)
            .to_vec::<i32>()
            .expect("positions"),
        places
    );
}

/// The transposed convolution in one dimension by its definition.
#[test]
fn transposed_convolution_scatters() {
    let (x, w) = (numbers(&[1, 2, 4]), numbers(&[2, 3, 3]));
    let (xv, wv) = (values(&x), values(&w));
    for (s, p, op, d) in [
        (1, 0, 0, 1),
        (2, 1, 1, 1),
        (3, 0, 2, 1),
        (1, 1, 1, 2),
        (2, 3, 1, 2),
        (1, 0, 2, 3),
    ] {
        let full = 3 * s + 2 * d + 1;
        let out = full - 2 * p + op;
        let mut want = vec![0.0; 3 * out];
        for (o, c, i, k) in (0..3 * 2 * 4 * 3).map(|n| (n / 24, n / 12 % 2, n / 3 % 4, n % 3)) {
            if let Some(at) = (i * s + k * d).checked_sub(p).filter(|&at| at < out) {
                want[o * out + at] += xv[c * 4 + i] * wv[(c * 3 + o) * 3 + k];
            }
        }
        let options = ConvTransposeOptions::default()
            .stride([s])
            .padding([p])
            .output_padding([op])
            .dilation([d]);
        let y = x.conv_transpose1d(&w, None, &options);
        assert_eq!(y.shape(), [1, 3, out]);
        close(&y, &want);
        close(&x.squeeze(0).conv_transpose1d(&w, None, &options), &want);
    }
}

#[test]
fn same_padding_keeps_the_size() {
    let x = numbers(&[1, 1, 6, 5]);
    for k in 1..4 {
        let options = ConvOptions::default().same().dilation([1, 2]);
        let y = x.conv2d(&numbers(&[2, 1, k, 2]), None, &options);
        assert_eq!(y.shape(), [1, 2, 6, 5]);
    }
    let uneven = x.conv2d(
        &numbers(&[1, 1, 2, 2]),
        None,
        &ConvOptions::default().same(),
    );
    let padded = ConvOptions::default().padding_each([(0, 1), (0, 1)]);
    close(
        &uneven,
        &values(&x.conv2d(&numbers(&[1, 1, 2, 2]), None, &padded)),
    );
}

#[test]
fn fold_is_the_adjoint_of_unfold() {
    let options = UnfoldOptions::new([3, 2])
        .stride([2, 1])
        .padding([1, 2])
        .dilation([1, 2]);
    let x = numbers(&[2, 2, 6, 5]);
    let columns = x.unfold2d(&options);
    let c = numbers(columns.shape());
    let left = (&columns * &c).sum();
    let right = (&x * c.fold2d([6, 5], &options)).sum();
    close(&left, &values(&right));
    let dx = grad(&left, &[&x]).expect("a gradient");
    close(&dx[0], &values(&c.fold2d([6, 5], &options)));
}

#[test]
fn einstein_sums() {
    let (a, b) = (numbers(&[2, 3, 4]), numbers(&[4, 3]));
    let sum = |text: &str, x: &[&Tensor]| Tensor::einsum(text, x);
    close(
        &sum("bij,ji", &[&a, &b]),
        &values(
            &a.matmul(&b)
                .flatten(1, 2)
                .index_select(1, &Tensor::new(&[0, 4, 8], a.device()))
                .sum_dims(&[1], false),
        ),
    );
    close(
        &sum("...ij, jk -> ...ik", &[&a, &b]),
        &values(&a.matmul(&b)),
    );
    close(&sum("i...->...", &[&a]), &values(&a.sum_dims(&[0], false)));
    close(&sum("ba", &[&b]), &values(&b.t()));
    let chain = sum("ab,bc,cd->ad", &[&b, &b.t(), &b]);
    close(&chain, &values(&b.matmul(&b.t()).matmul(&b)));
    let square = numbers(&[3, 2, 3]);
    let diagonal = sum("iji->ji", &[&square]);
    let v = values(&square);
    let want: Vec<f32> = (0..6)
        .map(|n| v[(n % 3) * 6 + (n / 3) * 3 + n % 3])
        .collect();
    close(&diagonal, &want);
    close(
        &sum("ij,ij->i", &[&b, &numbers(&[1, 3])]),
        &values(&(&b * numbers(&[1, 3])).sum_dims(&[1], false)),
    );
    let row = numbers(&[1, 4]);
    close(
        &sum("bij,bj->bi", &[&a, &row]),
        &values(&(&a * row.unsqueeze(1)).sum_dims(&[2], false)),
    );
    for bad in [
        "ij",
        "i,j",
        "ijk->il",
        "iij->i",
        "...",
        "i.j",
        "ijk->ii",
        "ijk\0",
        "i...j...k->",
    ] {
        let t = sum(bad, &[&a]);
        assert!(bad == "..." || t.check().is_err(), "{bad}");
    }
    assert!(sum("", &[]).check().is_err());
    assert!(sum("ij,jk->ik", &[&b, &b]).check().is_err());
}

#[test]
fn interpolation() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 4.0], &[1, 1, 3], &Device::reference());
    let to = |n: usize, mode| x.interpolate(&InterpolateOptions::size(&[n]).mode(mode));
    close(
        &to(6, Interpolation::Nearest),
        &[1.0, 1.0, 2.0, 2.0, 4.0, 4.0],
    );
    close(&to(5, Interpolation::Nearest), &[1.0, 1.0, 2.0, 2.0, 4.0]);
    close(&to(2, Interpolation::NearestExact), &[1.0, 4.0]);
    close(
        &to(6, Interpolation::Linear),
        &[1.0, 1.25, 1.75, 2.5, 3.5, 4.0],
    );
    close(&to(2, Interpolation::Area), &[1.5, 3.0]);
    let half = InterpolateOptions::scale_factor(&[0.5]).mode(Interpolation::Linear);
    close(&x.interpolate(&half), &[1.5]);
    close(
        &x.interpolate(&half.clone().recompute_scale_factor(true)),
        &[2.0],
    );
    // Cubic kernels reproduce constants and, inside, straight lines.
    let line: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let plane = Tensor::from_slice(&line, &[1, 1, 1, 8], &Device::reference());
    let cubic = InterpolateOptions::size(&[1, 16]).mode(Interpolation::Bicubic);
    let y = values(&plane.interpolate(&cubic));
    assert!(
        (5..11).all(|i| (y[i] - (i as f32 * 0.5 - 0.25)).abs() < 0.06),
        "{y:?}"
    );
    let wide = InterpolateOptions::size(&[1, 4])
        .mode(Interpolation::Bilinear)
        .antialias(true);
    let y = values(&plane.interpolate(&wide));
    assert!(
        (y[1] - 2.5).abs() < 1e-5 && (y[2] - 4.5).abs() < 1e-5,
        "{y:?}"
    );
}

#[test]
fn cross_entropy_of_numbers_is_that_of_probabilities() {
    let d = Device::reference();
    let x = numbers(&[4, 3, 2]);
    let classes = Tensor::from_slice(&[0, 2, 1, 1, 2, 0, 0, 1], &[4, 2], &d);
    let hot: Vec<f32> = (0..24)
        .map(|n| {
            let class = [0, 2, 1, 1, 2, 0, 0, 1][n / 6 * 2 + n % 2];
            f32::from(u8::from(class == n / 2 % 3))
        })
        .collect();
    let hot = Tensor::from_slice(&hot, &[4, 3, 2], &d);
    for smoothing in [0.0, 0.3] {
        let options = CrossEntropyOptions::default().label_smoothing(smoothing);
        let a = x.cross_entropy(&classes, options.clone());
        close(&a, &values(&x.cross_entropy(&hot, options.clone())));
        let sum = options
            .reduction(Reduction::Sum)
            .weight(&Tensor::new(&[0.5f32, 2.0, 1.5], &d));
        close(
            &x.cross_entropy(&classes, sum.clone()),
            &values(&x.cross_entropy(&hot, sum)),
        );
    }
    let ignored = x.cross_entropy(&classes, CrossEntropyOptions::default().ignore_index(1));
    let each = x.cross_entropy(&classes, Reduction::None);
    let counts = classes.ne_scalar(1.0).cast(DType::F32);
    close(&ignored, &values(&((each * &counts).sum() / counts.sum())));
}

#[test]
fn attention_without_keys_in_sight_is_zero() {
    let d = Device::reference();
    let q = numbers(&[1, 2, 3]);
    let mask = Tensor::from_slice(&[false, false, true, false], &[2, 2], &d);
    let options = AttentionOptions::default().attn_mask(&mask);
    let y = q.scaled_dot_product_attention(&q, &q, &options);
    let v = values(&q);
    close(&y, &[0.0, 0.0, 0.0, v[0], v[1], v[2]]);
    let g = grad(&y.square().sum(), &[&q]).expect("a gradient");
    let gg = grad(&g[0].square().sum(), &[&q]).expect("a second gradient");
    assert!(values(&gg[0]).iter().all(|v| v.is_finite()));
    let heads = numbers(&[4, 2, 3]);
    let (k, v) = (numbers(&[2, 5, 3]), numbers(&[2, 5, 3]));
    let shared = AttentionOptions::default().enable_gqa(true);
    let twice = |t: &Tensor| t.index_select(0, &Tensor::new(&[0, 0, 1, 1], &d));
    let want =
        heads.scaled_dot_product_attention(&twice(&k), &twice(&v), &AttentionOptions::default());
    close(
        &heads.scaled_dot_product_attention(&k, &v, &shared),
        &values(&want),
    );
}

#[test]
fn slopes_at_kinks_and_edges() {
    let d = Device::reference();
    let x = Tensor::new(&[0.0f32, 1.0, 0.0], &d);
    let t = Tensor::new(&[0.0f32, 1.0, 1.0], &d);
    let slope = |loss: Tensor, x: &Tensor| values(&grad(&loss, &[x]).expect("a gradient")[0]);
    assert_eq!(
        slope(x.binary_cross_entropy(&t, Reduction::Sum), &x),
        [0.0, 0.0, -1e12]
    );
    assert_eq!(
        slope(x.binary_cross_entropy_with_logits(&t, Reduction::Sum), &x)[0],
        0.5
    );
    let same = numbers(&[2, 3]);
    let g = slope(
        same.triplet_margin_loss(&same, &same, &TripletMarginOptions::default()),
        &same,
    );
    assert!(g.iter().all(|v| v.is_finite()));
    let zeros = Tensor::zeros(&[1, 4], DType::F32, &d);
    assert_eq!(
        slope(zeros.lp_pool1d(2.0, &PoolOptions::new(2)).sum(), &zeros),
        [0.0; 4]
    );
}

#[test]
fn bad_arguments_are_errors() {
    let x = numbers(&[1, 2, 4, 4]);
    let w = numbers(&[2, 2, 3, 3]);
    let most = usize::MAX;
    let conv = |o: ConvOptions<2>| x.conv2d(&w, None, &o);
    let transposed = |o: ConvTransposeOptions<2>| x.conv_transpose2d(&w, None, &o);
    let c = ConvOptions::default;
    let t = ConvTransposeOptions::default;
    let pool = |o: PoolOptions<2>| [x.max_pool2d(&o), x.avg_pool2d(&o), x.lp_pool2d(2.0, &o)];
    let blocks = |o: UnfoldOptions| [x.unfold2d(&o), x.flatten(2, 3).fold2d([4, 4], &o)];
    let mut all = vec![
        conv(c().stride([0, 1])),
        conv(c().dilation([most, 1])),
        conv(c().padding([most, most])),
        conv(c().groups(0)),
        conv(c().groups(most)),
        conv(c().same().stride([2, 1])),
        x.conv2d(&w, Some(&numbers(&[3])), &c()),
        x.conv1d(&w, None, &ConvOptions::default()),
        transposed(t().stride([most, 1])),
        transposed(t().stride([0, 1])),
        transposed(t().padding([9, 9])),
        transposed(t().padding([most, most])),
        transposed(t().output_padding([1, 0])),
        transposed(t().groups(3)),
        x.adaptive_avg_pool2d([Some(most), None]),
        x.adaptive_max_pool3d([Some(most), None, Some(3)]).0,
        x.lp_pool2d(0.0, &PoolOptions::new(2)),
        x.pixel_shuffle(0),
        x.pixel_shuffle(most),
        x.pixel_unshuffle(0),
        x.pixel_unshuffle(3),
        x.group_norm(0, None, None, 1e-5),
        x.group_norm(3, None, None, 1e-5),
        x.layer_norm(&[3], None, None, 1e-5),
        x.layer_norm(&[4], Some(&numbers(&[3])), None, 1e-5),
        x.batch_norm(&numbers(&[3]), &numbers(&[2]), None, None, 1e-5),
        numbers(&[1, 2]).batch_norm_train(None, None, 1e-5).0,
        x.cross_entropy(&numbers(&[1]), Reduction::Mean),
        numbers(&[]).cross_entropy(&numbers(&[]), Reduction::Mean),
        x.normalize(2.0, 9, 1e-12),
        x.interpolate(&InterpolateOptions::default()),
        x.interpolate(&InterpolateOptions::size(&[0, 2])),
        x.interpolate(&InterpolateOptions::size(&[most, most])),
        x.interpolate(&InterpolateOptions::scale_factor(&[f64::NAN])),
        x.interpolate(&InterpolateOptions::size(&[2]).mode(Interpolation::Linear)),
        x.scaled_dot_product_attention(&w, &numbers(&[]), &AttentionOptions::default()),
        x.huber_loss(&x, 0.0, Reduction::Mean),
        x.dot(&x),
        numbers(&[2]).dot(&numbers(&[3])),
    ];
    all.extend(pool(PoolOptions::new(0)));
    all.extend(pool(PoolOptions::new(9)));
    all.extend(pool(PoolOptions::new(most)));
    all.extend(pool(PoolOptions::new(2).stride([0, 1])));
    all.extend(
        pool(PoolOptions::new(most).ceil_mode(true))
            .into_iter()
            .take(1),
    );
    all.push(x.avg_pool2d(&PoolOptions::new(2).divisor_override(0)));
    all.push(x.max_pool2d(&PoolOptions::new(2).padding([2, 0])));
    all.extend(blocks(UnfoldOptions::new([0, 1])));
    all.extend(blocks(UnfoldOptions::new([most, 2])));
    all.extend(blocks(UnfoldOptions::new([5, 5]).padding([most, 0])));
    for (i, t) in all.iter().enumerate() {
        assert!(t.check().is_err(), "number {i} has shape {:?}", t.shape());
    }
}
