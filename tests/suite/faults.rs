//! Mistakes and mishaps end as errors that say what and where: bad indices, shapes, dtypes, devices, a lost GPU.

use crate::models::{own_cpu, own_devices, own_gpu};
use crate::support::{executors, gpu};
use wgrad::nn::{Linear, Sgd, gradients};
use wgrad::{
    ConvOptions, DType, Device, Error, ErrorKind, Generator, Module, Optimizer, PoolOptions,
    Reduction, Tensor, eval, grad,
};

/// Fails unless the error's text has all parts and its place is in this file, at this line.
fn says(e: &Error, kind: ErrorKind, line: u32, parts: &[&str]) {
    let text = e.to_string();
    assert_eq!(e.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
    let place = format!("faults.rs:{line}:");
    assert!(text.contains(&place), "{text:?} does not say {place:?}");
}

fn fails(t: &Tensor) -> Error {
    t.to_vec::<f32>()
        .map(|v| panic!("no error but {v:?}"))
        .unwrap_or_else(|e| e)
}

#[test]
fn an_index_out_of_range_is_an_error_of_its_own_reading() {
    let mut devices = own_devices();
    devices.push(Device::reference());
    for device in devices {
        let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], &device);
        for bad in [3, -1, i32::MAX, i32::MIN] {
            let index = Tensor::from_slice(&[0, bad, 1, 1], &[2, 2], &device);
            let y = x.gather(0, &index) * 2.0;
            let line = line!() - 1;
            says(&fails(&y), ErrorKind::Index, line, &["gather", "index"]);
            // Said once; the device goes on.
            let good = x.gather(0, &Tensor::from_slice(&[2, 0], &[1, 2], &device));
            assert_eq!(
                good.to_vec::<f32>().expect("values"),
                [5.0, 2.0],
                "{device}"
            );
        }
        let rows = x.index_select(0, &Tensor::new(&[0, 7], &device));
        let line = line!() - 1;
        says(&fails(&rows), ErrorKind::Index, line, &["gather"]);
        let target = Tensor::new(&[5, 0, 1], &device);
        let loss = x.cross_entropy(&target, Reduction::Mean);
        let line = line!() - 1;
        says(&fails(&loss), ErrorKind::Index, line, &["gather"]);
        let (index, row) = (
            Tensor::from_slice(&[9, 0], &[1, 2], &device),
            x.narrow(0, 0, 1),
        );
        let sum = x.scatter_add(0, &index, &row);
        let line = line!() - 1;
        says(&fails(&sum), ErrorKind::Index, line, &["scatter_add"]);
    }
}

#[test]
fn wrong_shapes_say_what_and_where() {
    for s in executors() {
        let d = &s.device;
        let of = |shape: &[usize]| Tensor::zeros(shape, DType::F32, d);
        let y = of(&[2, 3]) + of(&[4, 5]);
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["add", "f32[2, 3]", "f32[4, 5]"],
        );
        // The first cause, however much is built on it.
        let late = (y.exp().sum() * 2.0).reshape(&[1, 1]).matmul(&of(&[1, 9]));
        says(&fails(&late), ErrorKind::Shape, line, &["add", "f32[2, 3]"]);
        let y = of(&[2, 3]).matmul(&of(&[4, 5]));
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["matmul", "[2, 3]", "[4, 5]"],
        );
        let y = of(&[1, 3, 8, 8]).conv2d(&of(&[4, 2, 3, 3]), None, &ConvOptions::default());
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["conv", "[1, 3, 8, 8]", "[4, 2, 3, 3]"],
        );
        let y = of(&[2, 3]).reshape(&[4, -1]);
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["reshape", "[2, 3]", "4"],
        );
        let y = of(&[2, 3]).sum_dims(&[2], false);
        let line = line!() - 1;
        says(&fails(&y), ErrorKind::Shape, line, &["sum", "2", "[2, 3]"]);
        let y = of(&[5]).max_pool2d(&PoolOptions::new(2));
        let line = line!() - 1;
        says(&fails(&y), ErrorKind::Shape, line, &["max_pool2d", "[5]"]);
        let y = of(&[3, 10]).cross_entropy(&Tensor::new(&[1, 2], d), Reduction::Mean);
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["cross_entropy", "[3, 10]", "[2]"],
        );
        let y = Tensor::from_slice(&[1.0f32, 2.0], &[3], d);
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::Shape,
            line,
            &["from_slice", "2 elements", "[3]"],
        );
        let y = Tensor::cat(&[&of(&[2, 3]), &of(&[2, 4])], 0);
        let line = line!() - 1;
        says(&fails(&y), ErrorKind::Shape, line, &["[2, 3]", "[2, 4]"]);
    }
}

#[test]
fn wrong_dtypes_say_what_and_where() {
    for s in executors() {
        let d = &s.device;
        let (i, u) = (Tensor::new(&[1, 2], d), Tensor::new(&[1u32, 2], d));
        let y = &i + &u;
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::DType,
            line,
            &["add", "i32[2]", "u32[2]"],
        );
        let x = Tensor::new(&[1.0f32, 2.0], d);
        let y = x.gather(0, &x);
        let line = line!() - 1;
        says(&fails(&y), ErrorKind::DType, line, &["gather", "f32[2]"]);
        let y = x.matmul(&u.cast(DType::U32));
        let line = line!() - 1;
        says(
            &fails(&y),
            ErrorKind::DType,
            line,
            &["matmul", "f32[2]", "u32[2]"],
        );
        let line = line!() + 1;
        let e = Tensor::new(&[1, 2], d).to_vec::<f32>().expect_err("i32");
        says(&e, ErrorKind::DType, line, &["i32", "f32"]);
    }
}

#[test]
fn wrong_gradients_say_what_and_where() {
    let d = Device::cpu();
    let x = Tensor::new(&[1.0f32, 2.0], &d);
    let e = grad(&x.exp(), &[&x]).expect_err("two elements");
    says(&e, ErrorKind::Gradient, line!() - 1, &["grad", "[2]"]);
    let other = Tensor::new(&[1.0f32], &d);
    let e = grad(&x.sum(), &[&other]).expect_err("no path");
    says(&e, ErrorKind::Gradient, line!() - 1, &["grad", "depend"]);
}

#[test]
fn operands_on_two_devices_are_an_error() {
    let (a, b) = (own_cpu(), own_cpu());
    let mut pairs = vec![(a.clone(), b), (a.clone(), Device::reference())];
    pairs.extend(gpu().map(|gpu| (a, gpu)));
    for (a, b) in pairs {
        let (x, y) = (Tensor::new(&[1.0f32], &a), Tensor::new(&[2.0f32], &b));
        let z = &x + &y;
        let line = line!() - 1;
        says(
            &fails(&z),
            ErrorKind::Device,
            line,
            &["add", &a.to_string(), &b.to_string()],
        );
        assert_eq!(
            (x + y.to(&a).expect("moved")).item::<f32>().expect("a sum"),
            3.0
        );
    }
}

#[test]
fn an_unknown_adapter_or_device_lists_those_there_are() {
    let e = Device::open_blocking("gpu:no such adapter").expect_err("no such adapter");
    assert_eq!(e.kind(), ErrorKind::Device);
    let text = e.to_string();
    assert!(text.contains("no such adapter"), "{text}");
    for adapter in wgrad::device::adapters_blocking() {
        assert!(
            text.contains(&adapter.name),
            "{text} lacks {}",
            adapter.name
        );
    }
    let e = Device::open_blocking("abacus").expect_err("no such device");
    for name in ["abacus", "cpu", "gpu", "reference"] {
        assert!(e.to_string().contains(name), "{e}");
    }
}

#[test]
fn a_lost_gpu_gives_errors_and_training_goes_on_elsewhere() {
    let Some(device) = own_gpu() else { return };
    let mut model = Linear::new(3, 2, &mut Generator::new(1), &device);
    let mut optimizer = Sgd::new(0.1);
    let x = Tensor::ones(&[4, 3], DType::F32, &device);
    let mut step = |model: &mut Linear, x: &Tensor| {
        let loss = model.forward(x).square().mean();
        let g = gradients(&loss, model)?;
        optimizer.step(model, &g)?;
        loss.item::<f32>()
    };
    let first = step(&mut model, &x).expect("a step");
    assert!(first.is_finite());
    let saved: Vec<(String, Vec<f32>)> = model
        .state()
        .iter()
        .map(|(n, t)| (n.clone(), t.to_vec().expect("a weight")))
        .collect();
    device.as_gpu().expect("a GPU").lose();
    let lost = |what: &str, e: Error| {
        assert_eq!(e.kind(), ErrorKind::DeviceLost, "{what}: {e}");
    };
    lost("step", step(&mut model, &x).expect_err("lost"));
    lost("read", x.to_vec::<f32>().expect_err("lost"));
    lost("new", fails(&(Tensor::new(&[1.0f32], &device) + 1.0)));
    lost("eval", eval(&[&x.exp()]).expect_err("lost"));
    lost("to", x.exp().to(&Device::cpu()).expect_err("lost"));
    drop((model, x));
    // What was saved goes on on another device.
    let cpu = Device::cpu();
    let mut model = Linear::new(3, 2, &mut Generator::new(9), &cpu);
    let state: Vec<(String, Tensor)> = model
        .state()
        .into_iter()
        .zip(saved)
        .map(|((n, t), (_, v))| (n, Tensor::from_slice(&v, t.shape(), &cpu)))
        .collect();
    model.load_state(&state).expect("weights");
    let mut optimizer = Sgd::new(0.1);
    let x = Tensor::ones(&[4, 3], DType::F32, &cpu);
    let loss = model.forward(&x).square().mean();
    let g = gradients(&loss, &model).expect("gradients");
    optimizer.step(&mut model, &g).expect("a step");
    assert!(loss.item::<f32>().expect("a loss") <= first);
}
