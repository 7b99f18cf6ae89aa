//! Augmentation against plain loops, on the cpu and on a GPU; streams of their own for each image; bad parameters.

use wgrad_data::augment::{
    Affine, Augment, affine, brightness, contrast, crop, cutmix, cutmix_with, erase, flip,
    grayscale, hue, mixup, mixup_with, saturation,
};
use wgrad_graph::{DType, Device, Generator, GridPadding, PadMode, Settings, Tensor};

/// The cpu, and a GPU where there is one.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match Device::gpu_blocking(None, &Settings::default()) {
        Ok(device) => devices.push(device),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => println!("skipped: no adapter ({e})"),
    }
    devices
}

/// Images as nested loops see them.
#[derive(Clone)]
struct Images {
    shape: [usize; 4],
    data: Vec<f32>,
}

impl Images {
    fn random(shape: [usize; 4], seed: u64) -> Images {
        let data = Generator::new(seed).uniform(&shape, &Device::cpu());
        Images {
            shape,
            data: data.to_vec::<f32>().unwrap(),
        }
    }

    fn zeros(shape: [usize; 4]) -> Images {
        Images {
            shape,
            data: vec![0.0; shape.iter().product()],
        }
    }

    fn place(&self, [n, c, h, w]: [usize; 4]) -> usize {
        ((n * self.shape[1] + c) * self.shape[2] + h) * self.shape[3] + w
    }

    /// 0 outside.
    fn at(&self, n: usize, c: usize, h: isize, w: isize) -> f32 {
        let inside =
            h >= 0 && w >= 0 && (h as usize) < self.shape[2] && (w as usize) < self.shape[3];
        if inside {
            self.data[self.place([n, c, h as usize, w as usize])]
        } else {
            0.0
        }
    }

    /// Made pixel by pixel.
    fn of(shape: [usize; 4], mut pixel: impl FnMut(usize, usize, usize, usize) -> f32) -> Images {
        let mut images = Images::zeros(shape);
        for n in 0..shape[0] {
            for c in 0..shape[1] {
                for h in 0..shape[2] {
                    for w in 0..shape[3] {
                        let place = images.place([n, c, h, w]);
                        images.data[place] = pixel(n, c, h, w);
                    }
                }
            }
        }
        images
    }

    fn tensor(&self, device: &Device) -> Tensor {
        Tensor::from_slice(&self.data, &self.shape, device)
    }
}

fn close(got: &Tensor, expected: &Images, tolerance: f32) {
    assert_eq!(got.shape(), expected.shape);
    for (at, (got, expected)) in got
        .to_vec::<f32>()
        .unwrap()
        .iter()
        .zip(&expected.data)
        .enumerate()
    {
        assert!(
            (got - expected).abs() <= tolerance,
            "{at}: {got} {expected}"
        );
    }
}

const SHAPE: [usize; 4] = [3, 3, 5, 7];

#[test]
fn movements_are_those_of_loops() {
    let x = Images::random(SHAPE, 1);
    for device in devices() {
        let t = x.tensor(&device);
        let (top, left) = ([2, 0, 1], [3, 1, 0]);
        let cropped = crop(
            &t,
            &Tensor::new(&top, &device),
            &Tensor::new(&left, &device),
            (3, 4),
        );
        let expected = Images::of([3, 3, 3, 4], |n, c, h, w| {
            x.at(
                n,
                c,
                h as isize + top[n] as isize,
                w as isize + left[n] as isize,
            )
        });
        close(&cropped, &expected, 0.0);
        let flags = Tensor::new(&[1, 0, 1], &device).ne_scalar(0.0);
        for dim in [2, 3] {
            let expected = Images::of(SHAPE, |n, c, h, w| {
                let (mh, mw) = if n == 1 {
                    (h, w)
                } else if dim == 2 {
                    (4 - h, w)
                } else {
                    (h, 6 - w)
                };
                x.at(n, c, mh as isize, mw as isize)
            });
            close(&flip(&t, &flags, dim), &expected, 0.0);
        }
        let rectangle = [[1, 0, 4], [2, 5, 0], [2, 5, 0], [3, 2, 7]];
        let r = rectangle.map(|list| Tensor::new(&list, &device));
        let expected = Images::of(SHAPE, |n, c, h, w| {
            let [top, left, height, width] = rectangle.map(|list| list[n] as usize);
            let hit = h >= top && h < top + height && w >= left && w < left + width;
            if hit {
                0.5
            } else {
                x.at(n, c, h as isize, w as isize)
            }
        });
        close(
            &erase(&t, [&r[0], &r[1], &r[2], &r[3]], 0.5),
            &expected,
            0.0,
        );
    }
}

#[test]
fn affine_maps_are_those_of_loops() {
    let x = Images::random(SHAPE, 2);
    let parameters = [
        [30.0f32, -75.0, 180.0],
        [1.5, -2.0, 0.0],
        [-0.5, 1.0, 3.0],
        [0.8, 1.3, 1.0],
        [10.0, -20.0, 0.0],
    ];
    let expected = Images::of(SHAPE, |n, c, h, w| {
        let [degrees, tx, ty, scale, shear] = parameters.map(|p| f64::from(p[n]));
        // From the shape's definition: shear, scale, turn, shift, undone in reverse.
        let (px, py) = (w as f64 - 3.0 - tx, h as f64 - 2.0 - ty);
        let a = degrees.to_radians();
        let (rx, ry) = (a.cos() * px - a.sin() * py, a.sin() * px + a.cos() * py);
        let (sx, sy) = (rx / scale, ry / scale);
        let (qx, qy) = (sx - shear.to_radians().tan() * sy + 3.0, sy + 2.0);
        let (fx, fy) = (qx - qx.floor(), qy - qy.floor());
        let (ix, iy) = (qx.floor() as isize, qy.floor() as isize);
        let p = |dy: isize, dx: isize| f64::from(x.at(n, c, iy + dy, ix + dx));
        let up = p(0, 0) * (1.0 - fx) + p(0, 1) * fx;
        let down = p(1, 0) * (1.0 - fx) + p(1, 1) * fx;
        (up * (1.0 - fy) + down * fy) as f32
    });
    for device in devices() {
        let [degrees, x_shift, y_shift, scale, shear] =
            parameters.map(|p| Some(Tensor::new(&p, &device)));
        let map = Affine {
            degrees,
            translate_x: x_shift,
            translate_y: y_shift,
            scale,
            shear,
        };
        close(
            &affine(&x.tensor(&device), &map, GridPadding::Zeros),
            &expected,
            2e-5,
        );
        let same = affine(&x.tensor(&device), &Affine::default(), GridPadding::Border);
        close(&same, &x, 1e-5);
    }
}

/// Hue, saturation and value of a colour, by the definition of Python's `colorsys`.
fn hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0.0, 0.0, max];
    }
    let [rc, gc, bc] = [r, g, b].map(|v| (max - v) / (max - min));
    let h = if r == max {
        bc - gc
    } else if g == max {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    [(h / 6.0).rem_euclid(1.0), (max - min) / max, max]
}

fn rgb([h, s, v]: [f64; 3]) -> [f64; 3] {
    let i = (h * 6.0).floor();
    let f = h * 6.0 - i;
    let (p, q, t) = (v * (1.0 - s), v * (1.0 - s * f), v * (1.0 - s * (1.0 - f)));
    match i as i64 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[test]
fn colors_are_those_of_loops() {
    let mut x = Images::random(SHAPE, 3);
    // Greys and pure colours among them.
    for c in 0..3 {
        let place = x.place([0, c, 0, 0]);
        x.data[place] = 0.25;
        let place = x.place([0, c, 0, 1]);
        x.data[place] = if c == 1 { 1.0 } else { 0.0 };
        let place = x.place([0, c, 0, 2]);
        x.data[place] = 0.0;
    }
    let grey = |n: usize, h: usize, w: usize| {
        let p = |c| x.at(n, c, h as isize, w as isize);
        0.2989 * p(0) + 0.587 * p(1) + 0.114 * p(2)
    };
    let mean = |n: usize| {
        let all = (0..5).flat_map(|h| (0..7).map(move |w| (h, w)));
        all.map(|(h, w)| grey(n, h, w)).sum::<f32>() / 35.0
    };
    let factors = [0.3f32, 1.0, 1.8];
    let turns = [0.4f32, -0.25, 0.0];
    for device in devices() {
        let t = x.tensor(&device);
        let f = Tensor::new(&factors, &device);
        let blended = |other: &dyn Fn(usize, usize, usize) -> f32| {
            Images::of(SHAPE, |n, c, h, w| {
                let p = x.at(n, c, h as isize, w as isize);
                (factors[n] * p + (1.0 - factors[n]) * other(n, h, w)).clamp(0.0, 1.0)
            })
        };
        close(&brightness(&t, &f), &blended(&|_, _, _| 0.0), 1e-6);
        close(&contrast(&t, &f), &blended(&|n, _, _| mean(n)), 1e-5);
        close(
            &saturation(&t, &f),
            &blended(&|n, h, w| grey(n, h, w)),
            1e-5,
        );
        close(
            &grayscale(&t),
            &Images::of([3, 1, 5, 7], |n, _, h, w| grey(n, h, w)),
            1e-6,
        );
        let expected = Images::of(SHAPE, |n, c, h, w| {
            let color = [0, 1, 2].map(|c| f64::from(x.at(n, c, h as isize, w as isize)));
            let [hue, s, v] = hsv(color);
            rgb([(hue + f64::from(turns[n])).rem_euclid(1.0), s, v])[c] as f32
        });
        close(&hue(&t, &Tensor::new(&turns, &device)), &expected, 1e-5);
    }
}

#[test]
fn mixtures_are_those_of_loops() {
    let x = Images::random(SHAPE, 4);
    let (partner, weight, y) = ([2usize, 0, 1], [0.25f32, 1.0, 0.6], [4usize, 0, 4]);
    for device in devices() {
        let t = x.tensor(&device);
        let integers = |list: [usize; 3]| Tensor::new(&list.map(|v| v as i32), &device);
        let mixed = mixup_with(
            &t,
            &integers(y),
            5,
            &Tensor::new(&weight, &device),
            &integers(partner),
        );
        let expected = Images::of(SHAPE, |n, c, h, w| {
            let p = |n| x.at(n, c, h as isize, w as isize);
            weight[n] * p(n) + (1.0 - weight[n]) * p(partner[n])
        });
        close(&mixed.images, &expected, 1e-6);
        let mut targets = vec![0.0; 15];
        for n in 0..3 {
            targets[5 * n + y[n]] += weight[n];
            targets[5 * n + y[partner[n]]] += 1.0 - weight[n];
        }
        let got = mixed.targets.to_vec::<f32>().unwrap();
        assert!(
            got.iter().zip(&targets).all(|(a, b)| (a - b).abs() < 1e-6),
            "{got:?}"
        );
        let r = [[1usize, 0, 0], [2, 0, 0], [3, 5, 0], [4, 7, 2]];
        let rectangle = r.map(integers);
        let [top, left, height, width] = &rectangle;
        let cut = cutmix_with(
            &t,
            &integers(y),
            5,
            [top, left, height, width],
            &integers(partner),
        );
        let expected = Images::of(SHAPE, |n, c, h, w| {
            let hit =
                h >= r[0][n] && h < r[0][n] + r[2][n] && w >= r[1][n] && w < r[1][n] + r[3][n];
            x.at(if hit { partner[n] } else { n }, c, h as isize, w as isize)
        });
        close(&cut.images, &expected, 0.0);
        let got = cut.targets.to_vec::<f32>().unwrap();
        // 12 of 35 pixels of the first, all of the second, none of the third.
        assert!((got[4] - 1.0).abs() < 1e-6 && (got[9] - 1.0).abs() < 1e-6 && got[5].abs() < 1e-6);
        assert!((got[14] - 1.0).abs() < 1e-6);
    }
}

fn all_steps() -> Augment {
    Augment::new()
        .horizontal_flip(0.5)
        .vertical_flip(0.5)
        .crop(2, Some((6, 6)), PadMode::Reflect)
        .shift(1)
        .rotate(20.0)
        .scale(0.8, 1.2)
        .color(0.3, 0.3, 0.3, 0.1)
        .erase(0.5)
        .noise(0.05)
}

#[test]
fn draws_are_of_each_image_and_of_the_stream() {
    for device in devices() {
        // One image many times: what differs is the draw.
        let one = Images::random([1, 3, 8, 8], 5).tensor(&device);
        let x = one.broadcast_to(&[16, 3, 8, 8]);
        let apply = |seed| {
            let mut rng = Generator::new(seed);
            all_steps().apply(&x, &mut rng).to_vec::<f32>().unwrap()
        };
        let first = apply(1);
        assert_eq!(first.len(), 16 * 3 * 36);
        assert_eq!(apply(1), first);
        assert_ne!(apply(2), first);
        let images: Vec<&[f32]> = first.chunks(3 * 36).collect();
        for a in 0..16 {
            assert!(
                (0..a).all(|b| images[a] != images[b]),
                "image {a} is another's"
            );
        }
        assert!(first.iter().all(|v| v.is_finite()));
        // Over many images the probabilities are those that were asked for.
        let row = Tensor::new(&[0.0f32, 1.0], &device)
            .reshape(&[1, 1, 1, 2])
            .broadcast_to(&[2000, 1, 1, 2]);
        let flipped = Augment::new()
            .horizontal_flip(0.3)
            .apply(&row, &mut Generator::new(9));
        let count: f32 = flipped.to_vec::<f32>().unwrap().iter().step_by(2).sum();
        assert!((count - 600.0).abs() < 80.0, "{count}");
        let ones = Tensor::ones(&[500, 1, 20, 30], DType::F32, &device);
        let left = Augment::new()
            .erase(1.0)
            .apply(&ones, &mut Generator::new(2));
        let areas = left.mean_dims(&[1, 2, 3], false).to_vec::<f32>().unwrap();
        // A rectangle of 2 to 33 %, each side rounded.
        assert!(areas.iter().all(|a| (0.6..0.99).contains(a)), "{areas:?}");
        let y = Tensor::zeros(&[16], DType::I32, &device);
        let mut rng = Generator::new(4);
        for mixed in [
            mixup(&x, &y, 3, 0.4, &mut rng),
            cutmix(&x, &y, 3, 1.0, &mut rng),
        ] {
            assert_eq!(mixed.images.shape(), x.shape());
            let sum = mixed.targets.sum_dims(&[1], false).to_vec::<f32>().unwrap();
            assert!(sum.iter().all(|s| (s - 1.0).abs() < 1e-5));
        }
    }
}

#[test]
fn bad_parameters_are_errors() {
    let device = Device::cpu();
    let x = Tensor::zeros(&[2, 1, 4, 4], DType::F32, &device);
    let three = Tensor::zeros(&[3], DType::F32, &device);
    let two = Tensor::zeros(&[2], DType::I32, &device);
    let message = |t: Tensor| t.to_vec::<f32>().unwrap_err().to_string();
    let error = message(brightness(&x, &three));
    assert!(
        error.contains("brightness: needs one parameter for each image"),
        "{error}"
    );
    assert!(error.contains("augment.rs"), "{error}");
    assert!(message(saturation(&x, &two)).contains("3 channels"));
    assert!(message(crop(&x, &two, &two, (5, 1))).contains("no window of 5 x 1"));
    let late = Tensor::new(&[0, 2], &device);
    assert!(crop(&x, &two, &late, (4, 3)).to_vec::<f32>().is_err());
    let flat = Tensor::zeros(&[2, 16], DType::F32, &device);
    let error = message(Augment::new().shift(1).apply(&flat, &mut Generator::new(0)));
    assert!(error.contains("needs float images"), "{error}");
    let bytes = Tensor::zeros(&[2, 1, 4, 4], DType::U8, &device);
    assert!(
        message(all_steps().apply(&bytes, &mut Generator::new(0))).contains("needs float images")
    );
    assert!(message(mixup(&x, &three, 4, 1.0, &mut Generator::new(0)).images).contains("mixup"));
    let tall = Augment::new().crop(0, Some((5, 5)), PadMode::Constant(0.0));
    assert!(message(tall.apply(&x, &mut Generator::new(0))).contains("no window"));
}
