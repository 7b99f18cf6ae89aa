//! Tensors from the beginning: making them, looking at parts, writing, joining, comparing, broadcasting, reducing,
//! and the products and norms of linear algebra. Every line that is shown is computed on the chosen device.
//!
//!     cargo run --release --example tensors

use wgrad::{DType, Device, Generator, Result, Tensor, grad};

fn main() -> Result<()> {
    let device = Device::best_blocking()?;
    println!("device {device}");
    making(&device);
    looking(&device);
    writing(&device);
    combining(&device);
    broadcasting(&device);
    reducing(&device);
    linear_algebra(&device);
    mistakes(&device);
    differentiating(&device)
}

fn title(text: &str) {
    println!("\n== {text}");
}

/// Prints what was computed below the words that computed it.
fn show(code: &str, result: &Tensor) {
    println!("{code}\n{result}");
}

fn making(device: &Device) {
    title("Making tensors");
    let x = Tensor::arange(12, device).cast(DType::F32);
    show("x = arange(12)", &x);
    println!("x.numel() = {}, x.shape() = {:?}", x.numel(), x.shape());
    show("x.reshape([3, 4])", &x.reshape(&[3, 4]));
    show(
        "x.reshape([-1, 6]), the open size is inferred",
        &x.reshape(&[-1, 6]),
    );
    show(
        "zeros([2, 3, 4])",
        &Tensor::zeros(&[2, 3, 4], DType::F32, device),
    );
    show("ones([2, 3])", &Tensor::ones(&[2, 3], DType::F32, device));
    show(
        "full([2], 0.5)",
        &Tensor::full(&[2], 0.5, DType::F32, device),
    );
    show("eye(3)", &Tensor::eye(3, DType::F32, device));
    let mut rng = Generator::new(0);
    show("normal([3, 4]), seed 0", &rng.normal(&[3, 4], device));
    let rows = [2, 1, 4, 3, 1, 2, 3, 4];
    show(
        "from_slice(…, [2, 4])",
        &Tensor::from_slice(&rows, &[2, 4], device),
    );
    show("linspace(0, 1, 5)", &Tensor::linspace(0.0, 1.0, 5, device));
}

/// `0 … 11` in three rows.
fn table(device: &Device) -> Tensor {
    Tensor::arange(12, device).cast(DType::F32).reshape(&[3, 4])
}

fn looking(device: &Device) {
    title("Looking at parts");
    let x = table(device);
    show("x", &x);
    show("x[-1]", &x.get(-1));
    show("x[1:3]", &x.get(1..3));
    show("x[:, -2:]", &x.get((.., -2..)));
    show("x[1, 2]", &x.get((1, 2)));
    show("x[:, ::2]", &x.slice(1, None, None, 2));
    show("x[::-1]", &x.slice(0, None, None, -1));
    show("x, transposed", &x.t());
}

fn writing(device: &Device) {
    title("Writing: a tensor is immutable, a new one comes back");
    let x = table(device);
    show("x[1, 2] = 17", &x.set_scalar((1, 2), 17.0));
    show("x[:2, :] = 12", &x.set_scalar((..2, ..), 12.0));
    let column = Tensor::new(&[-1.0f32, -2.0, -3.0], device);
    show("x[:, 0] = [-1, -2, -3]", &x.set((.., 0), &column));
    show(
        "x where it is above 5, else 0",
        &x.masked_fill(&x.le_scalar(5.0), 0.0),
    );
}

fn combining(device: &Device) {
    title("Operations");
    let x = Tensor::new(&[1.0f32, 2.0, 4.0, 8.0], device);
    let y = Tensor::new(&[2.0f32; 4], device);
    show("x + y", &(&x + &y));
    show("x - y", &(&x - &y));
    show("x * y", &(&x * &y));
    show("x / y", &(&x / &y));
    show("x ** y", &x.pow(&y));
    show("exp(x)", &x.exp());
    let a = table(device);
    let b = Tensor::from_slice(
        &[
            2.0f32, 1.0, 4.0, 3.0, 1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0,
        ],
        &[3, 4],
        device,
    );
    show("cat((a, b), dim=0)", &Tensor::cat(&[&a, &b], 0));
    show("cat((a, b), dim=1)", &Tensor::cat(&[&a, &b], 1));
    show("a == b", &a.eq(&b));
    show("a < b", &a.lt(&b));
    show("a.sum()", &a.sum());
}

fn broadcasting(device: &Device) {
    title("Broadcasting: sizes of 1 stretch");
    let a = Tensor::arange(3, device).reshape(&[3, 1]);
    let b = Tensor::arange(2, device).reshape(&[1, 2]);
    show("a, of shape [3, 1]", &a);
    show("b, of shape [1, 2]", &b);
    show("a + b", &(&a + &b));
}

fn reducing(device: &Device) {
    title("Reducing");
    let x = table(device);
    show("x.sum(dim=0)", &x.sum_dims(&[0], false));
    show("x.sum(dim=1)", &x.sum_dims(&[1], false));
    show("x.sum(dim=[0, 1])", &x.sum_dims(&[0, 1], false));
    show("x.mean(dim=0)", &x.mean_dims(&[0], false));
    let total = x.sum_dims(&[1], true);
    show("total = x.sum(dim=1, keepdim=True)", &total);
    show("x / total, every row sums to 1", &(&x / &total));
    show("x.cumsum(dim=0)", &x.cumsum(0));
    show("x.amax(dim=1)", &x.amax_dims(&[1], false));
    show("x.argmax(dim=1)", &x.argmax(1, false));
}

fn linear_algebra(device: &Device) {
    title("Linear algebra");
    let a = table(device);
    let x = Tensor::arange(4, device).cast(DType::F32);
    let b = Tensor::ones(&[4, 3], DType::F32, device);
    show("dot(x, ones)", &x.dot(&x.ones_like()));
    show("mv(A, x)", &a.mv(&x));
    show("mm(A, B)", &a.mm(&b));
    show("A is A.T.T", &a.eq(&a.t().t()).all());
    let u = Tensor::new(&[3.0f32, -4.0], device);
    show("norm([3, -4])", &u.norm());
    show("norm of order 1", &u.vector_norm(1.0, &[0], false));
    show(
        "Frobenius norm of ones([4, 9])",
        &Tensor::ones(&[4, 9], DType::F32, device).norm(),
    );
}

fn mistakes(device: &Device) {
    title("Mistakes travel as values and name their place");
    let a = Tensor::zeros(&[3, 4], DType::F32, device);
    show(
        "zeros([3, 4]) + zeros([3])",
        &(&a + Tensor::zeros(&[3], DType::F32, device)),
    );
}

fn differentiating(device: &Device) -> Result<()> {
    title("Derivatives");
    let x = Tensor::arange(4, device).cast(DType::F32);
    let y = x.dot(&x) * 2.0;
    show("y = 2 x·x", &y);
    show("dy/dx", &grad(&y, &[&x])?[0]);
    Ok(())
}
