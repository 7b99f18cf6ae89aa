//! What a line of a file of shapes says, and the operation on tensors that it stands for.

use crate::Result;
use serde_json::{Map, Value};
use wgrad_graph::{
    ConvOptions, ConvTransposeOptions, DType, Device, Generator, GradOptions, PoolOptions, Tensor,
    eval, grad_with,
};
use wgrad_nn::{Context, Gru, Kind, Lstm, Module, RecurrentOptions};

/// Fields that programs add to a line.
const ADDED: [&str; 3] = ["fwd_ms", "both_ms", "name"];
/// The most elements a tensor of a line may have.
const MOST: usize = 1 << 31;

/// A line of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The line as it stands.
    pub name: String,
    fields: Map<String, Value>,
}

/// The lines of a file; empty ones are passed over.
///
/// # Errors
/// A line that is no object with a kind, by its number.
pub fn read(text: &str) -> Result<Vec<Shape>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let shape = |(number, line): (usize, &str)| {
        Shape::parse(line).map_err(|e| format!("line {}: {e}", number + 1).into())
    };
    lines.map(shape).collect()
}

impl Shape {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no object with a kind.
    pub fn parse(line: &str) -> Result<Shape> {
        match serde_json::from_str(line)? {
            Value::Object(fields) if fields.get("kind").is_some_and(Value::is_string) => {
                Ok(Shape {
                    name: line.trim().to_string(),
                    fields,
                })
            }
            _ => Err("no object with a \"kind\"".into()),
        }
    }

    /// Which operation it is.
    pub fn kind(&self) -> &str {
        self.fields["kind"].as_str().unwrap_or_default()
    }

    /// What two programs' lines of one case have in common: the fields that neither added.
    pub fn key(&self) -> String {
        let mut fields = self.fields.clone();
        fields.retain(|name, _| !ADDED.contains(&name.as_str()));
        Value::Object(fields).to_string()
    }

    /// The times that another program added.
    pub fn times(&self) -> Option<[f64; 2]> {
        let time = |name: &str| self.fields.get(name)?.as_f64().filter(|ms| *ms > 0.0);
        Some([time("fwd_ms")?, time("both_ms")?])
    }

    /// The line with times added, and its own text as `name`.
    pub fn with_times(&self, forward: f64, both: f64) -> String {
        let round = |ms: f64| (ms * 1e4).round() / 1e4;
        let base = self.name.trim_end().trim_end_matches('}').trim_end();
        format!(
            "{base}, \"fwd_ms\": {}, \"both_ms\": {}, \"name\": {}}}",
            round(forward),
            round(both),
            Value::from(self.name.as_str())
        )
    }

    /// Kind and sizes, for a line of a table.
    pub fn short(&self) -> String {
        let mut text = self.kind().to_string();
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "kind") {
            let usual = match name.as_str() {
                "groups" | "dilation" | "stride" => 1,
                "padding" => 0,
                _ => -1,
            };
            if value.as_i64() == Some(usual) || ADDED.contains(&name.as_str()) {
                continue;
            }
            let short = match name.as_str() {
                "input" => " ",
                "filters" => " f",
                "kernel" => " k",
                "stride" => " s",
                "padding" => " p",
                "groups" => " g",
                "dilation" => " d",
                other => &format!(" {other} "),
            };
            text += short;
            text += &value.to_string();
        }
        text
    }

    fn size(&self, name: &str) -> Result<usize> {
        let value = self
            .fields
            .get(name)
            .ok_or_else(|| format!("no \"{name}\""))?;
        let size = value.as_u64().and_then(|v| usize::try_from(v).ok());
        Ok(size.ok_or_else(|| format!("\"{name}\" is {value}, no size"))?)
    }

    fn size_or(&self, name: &str, absent: usize) -> Result<usize> {
        if self.fields.contains_key(name) {
            self.size(name)
        } else {
            Ok(absent)
        }
    }

    fn input(&self, rank: impl Fn(usize) -> bool) -> Result<Vec<usize>> {
        let sizes = self.fields.get("input").and_then(Value::as_array);
        let sizes = sizes.ok_or("no \"input\" with sizes")?;
        let sizes: Option<Vec<usize>> = sizes
            .iter()
            .map(|v| v.as_u64().and_then(|v| usize::try_from(v).ok()))
            .collect();
        let sizes = sizes.ok_or("\"input\" holds what is no size")?;
        if !rank(sizes.len()) {
            return Err(format!("{} of an input of shape {sizes:?}", self.kind()).into());
        }
        Ok(sizes)
    }
}

type Function = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// An operation with its inputs: the first is what it works on, the others its parameters.
pub struct Operation {
    /// Evaluated, and leaves.
    pub inputs: Vec<Tensor>,
    function: Function,
}

impl Operation {
    /// What a line stands for, with random inputs on a device, floats of `dtype`.
    ///
    /// # Errors
    /// The line stands for none; the device has no room.
    pub fn new(shape: &Shape, device: &Device, dtype: DType) -> Result<Operation> {
        let mut operation = Operation::of(shape, device)?;
        for input in &mut operation.inputs {
            if input.dtype().is_float() {
                *input = input.cast(dtype).detach()?;
            }
        }
        Ok(operation)
    }

    /// The same in f32.
    fn of(shape: &Shape, device: &Device) -> Result<Operation> {
        let (sizes, function) = match shape.kind() {
            "conv2d" => convolution(shape)?,
            "conv_transpose2d" => transposed(shape)?,
            "linear" | "bmm" => product(shape)?,
            "max_pool2d" | "avg_pool2d" => pooling(shape)?,
            "lstm" | "gru" => return recurrent(shape, device),
            "embedding" => return embedding(shape, device),
            _ => along_rows(shape)?,
        };
        let rng = &mut Generator::new(0);
        let inputs = sizes.iter().map(|sizes| normal(sizes, rng, device));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        Ok(Operation { inputs, function })
    }

    /// Records the operation on such inputs.
    pub fn forward(&self, inputs: &[Tensor]) -> Tensor {
        (self.function)(inputs)
    }

    /// A random gradient of the output's shape.
    ///
    /// # Errors
    /// The operation cannot be; the device has no room.
    pub fn upstream(&self, device: &Device) -> Result<Tensor> {
        let y = self.forward(&self.inputs);
        y.check()?;
        let upstream = normal(y.shape(), &mut Generator::new(1), device)?;
        Ok(upstream.cast(y.dtype()).detach()?)
    }

    /// Records the gradients of all inputs that are floats, for this gradient of the result, and the result last.
    ///
    /// # Errors
    /// The operation cannot be.
    pub fn with_gradients(
        &self,
        upstream: &Tensor,
        inputs: &[Tensor],
    ) -> wgrad_graph::Result<Vec<Tensor>> {
        let y = self.forward(inputs);
        let of: Vec<&Tensor> = inputs.iter().filter(|t| t.dtype().is_float()).collect();
        let options = GradOptions {
            upstream: Some(upstream.clone()),
            ..GradOptions::default()
        };
        let mut all = grad_with(&y, &of, &options)?;
        all.push(y);
        Ok(all)
    }
}

fn normal(sizes: &[usize], rng: &mut Generator, device: &Device) -> Result<Tensor> {
    let count = sizes.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    if count.is_none_or(|n| n > MOST) {
        return Err(format!("a tensor of shape {sizes:?} is too large").into());
    }
    let t = rng.normal(sizes, device);
    eval(&[&t])?;
    Ok(t.detach()?)
}

type Parts = (Vec<Vec<usize>>, Function);

fn convolution(shape: &Shape) -> Result<Parts> {
    let input = shape.input(|rank| rank == 4)?;
    let [filters, kernel] = [shape.size("filters")?, shape.size("kernel")?];
    let groups = shape.size_or("groups", 1)?.max(1);
    let options = ConvOptions::<2>::default();
    let options = options
        .stride([shape.size_or("stride", 1)?; 2])
        .groups(groups);
    let options = options.padding([shape.size_or("padding", 0)?; 2]);
    let options = options.dilation([shape.size_or("dilation", 1)?; 2]);
    let weight = vec![filters, input[1] / groups, kernel, kernel];
    Ok((
        vec![input, weight],
        Box::new(move |t| t[0].conv2d(&t[1], None, &options)),
    ))
}

fn transposed(shape: &Shape) -> Result<Parts> {
    let input = shape.input(|rank| rank == 4)?;
    let [filters, kernel] = [shape.size("filters")?, shape.size("kernel")?];
    let options = ConvTransposeOptions::<2>::default();
    let options = options.stride([shape.size_or("stride", 1)?; 2]);
    let options = options.padding([shape.size_or("padding", 0)?; 2]);
    let weight = vec![input[1], filters, kernel, kernel];
    let function = move |t: &[Tensor]| t[0].conv_transpose2d(&t[1], None, &options);
    Ok((vec![input, weight], Box::new(function)))
}

fn product(shape: &Shape) -> Result<Parts> {
    let filters = shape.size("filters")?;
    if shape.kind() == "bmm" {
        let input = shape.input(|rank| rank == 3)?;
        let other = vec![input[0], input[2], filters];
        return Ok((vec![input, other], Box::new(|t| t[0].matmul(&t[1]))));
    }
    let input = shape.input(|rank| rank == 2)?;
    let weight = vec![filters, input[1]];
    let function = |t: &[Tensor]| t[0].linear(&t[1], Some(&t[2]));
    Ok((vec![input, weight, vec![filters]], Box::new(function)))
}

fn pooling(shape: &Shape) -> Result<Parts> {
    let input = shape.input(|rank| rank == 4)?;
    let kernel = shape.size("kernel")?;
    let options = PoolOptions::<2>::new(kernel).stride([shape.size_or("stride", kernel)?; 2]);
    let max = shape.kind() == "max_pool2d";
    let function = move |t: &[Tensor]| {
        if max {
            t[0].max_pool2d(&options)
        } else {
            t[0].avg_pool2d(&options)
        }
    };
    Ok((vec![input], Box::new(function)))
}

/// Those that work on rows, on channels or element by element.
fn along_rows(shape: &Shape) -> Result<Parts> {
    let input = shape.input(|rank| rank > 0)?;
    let last = input[input.len() - 1];
    let alone = |function: Function| Ok((vec![input.clone()], function));
    match shape.kind() {
        "softmax" => alone(Box::new(|t| t[0].softmax(-1))),
        "sum_last" => alone(Box::new(|t| t[0].sum_dims(&[-1], false))),
        "gelu" => alone(Box::new(|t| t[0].gelu())),
        "add_relu" => Ok((
            vec![input.clone(), input],
            Box::new(|t| (&t[0] + &t[1]).relu()),
        )),
        "layer_norm" => {
            let function =
                move |t: &[Tensor]| t[0].layer_norm(&[last], Some(&t[1]), Some(&t[2]), 1e-5);
            Ok((vec![input, vec![last], vec![last]], Box::new(function)))
        }
        "batch_norm" => {
            let input = shape.input(|rank| rank > 1)?;
            let channels = vec![input[1]];
            let function = |t: &[Tensor]| t[0].batch_norm_train(Some(&t[1]), Some(&t[2]), 1e-5).0;
            Ok((vec![input, channels.clone(), channels], Box::new(function)))
        }
        other => Err(format!("no operation is called {other:?}").into()),
    }
}

fn embedding(shape: &Shape, device: &Device) -> Result<Operation> {
    let sizes = shape.input(|_| true)?;
    let [rows, features] = [shape.size("rows")?, shape.size("filters")?];
    let rng = &mut Generator::new(0);
    let most = i32::try_from(rows)?;
    let index = rng.integers(0, most, &sizes, device);
    eval(&[&index])?;
    let weight = normal(&[rows, features], rng, device)?;
    Ok(Operation {
        inputs: vec![index.detach()?, weight],
        function: Box::new(|t| t[0].embedding(&t[1], None)),
    })
}

/// Batch first. The layer's parameters are arguments as the input is.
fn recurrent(shape: &Shape, device: &Device) -> Result<Operation> {
    let sizes = shape.input(|rank| rank == 3)?;
    let hidden = shape.size("filters")?;
    let rng = &mut Generator::new(0);
    let options = RecurrentOptions::default().batch_first(true);
    let x = normal(&sizes, rng, device)?;
    if shape.kind() == "lstm" {
        let layer = Lstm::new(sizes[2], hidden, &options, rng, device);
        return layer_of(x, layer, |layer, x| {
            layer.forward(x, None, &mut Context::eval()).0
        });
    }
    let layer = Gru::new(sizes[2], hidden, &options, rng, device);
    layer_of(x, layer, |layer, x| {
        layer.forward(x, None, &mut Context::eval()).0
    })
}

fn layer_of<M: Module + Clone + 'static>(
    x: Tensor,
    layer: M,
    forward: fn(&M, &Tensor) -> Tensor,
) -> Result<Operation> {
    let parameters = layer.parameters();
    eval(&parameters.iter().collect::<Vec<_>>())?;
    let parameters = parameters.iter().map(Tensor::detach);
    let parameters = parameters.collect::<wgrad_graph::Result<Vec<_>>>()?;
    let function = move |t: &[Tensor]| {
        let (mut layer, mut given) = (layer.clone(), t[1..].iter());
        layer.visit_mut("", &mut |_, kind, parameter| {
            if let (Kind::Parameter, Some(new)) = (kind, given.next()) {
                *parameter = new.clone();
            }
        });
        forward(&layer, &t[0])
    };
    Ok(Operation {
        inputs: [vec![x], parameters].concat(),
        function: Box::new(function),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"
{"kind": "conv2d", "input": [2, 4, 6, 6], "filters": 8, "kernel": 3, "stride": 2, "padding": 1, "groups": 2, "dilation": 1}
{"kind": "conv_transpose2d", "input": [2, 4, 3, 3], "filters": 5, "kernel": 4, "stride": 2, "padding": 1}
{"kind": "linear", "input": [3, 4], "filters": 5}
{"kind": "bmm", "input": [2, 3, 4], "filters": 5}
{"kind": "softmax", "input": [7]}
{"kind": "layer_norm", "input": [3, 7]}
{"kind": "sum_last", "input": [3, 7]}
{"kind": "gelu", "input": [3, 7]}
{"kind": "add_relu", "input": [3, 7]}
{"kind": "batch_norm", "input": [4, 3, 2, 2]}
{"kind": "max_pool2d", "input": [1, 2, 5, 5], "kernel": 2, "stride": 2}
{"kind": "avg_pool2d", "input": [1, 2, 5, 5], "kernel": 2, "stride": 2}
{"kind": "lstm", "input": [2, 3, 4], "filters": 5}
{"kind": "gru", "input": [2, 3, 4], "filters": 5}
{"kind": "embedding", "input": [6], "rows": 9, "filters": 5}"#;

    #[test]
    fn every_kind_has_its_shape() {
        let shapes = read(LINES).unwrap();
        let expected: [&[usize]; 15] = [
            &[2, 8, 3, 3],
            &[2, 5, 6, 6],
            &[3, 5],
            &[2, 3, 5],
            &[7],
            &[3, 7],
            &[3],
            &[3, 7],
            &[3, 7],
            &[4, 3, 2, 2],
            &[1, 2, 2, 2],
            &[1, 2, 2, 2],
            &[2, 3, 5],
            &[2, 3, 5],
            &[6, 5],
        ];
        assert_eq!(shapes.len(), expected.len());
        for (shape, expected) in shapes.iter().zip(expected) {
            let operation = Operation::new(shape, &Device::cpu(), DType::F32).unwrap();
            let upstream = operation.upstream(&Device::cpu()).unwrap();
            assert_eq!(upstream.shape(), expected, "{}", shape.name);
        }
    }

    #[test]
    fn a_line_keeps_its_text_and_gains_times() {
        let shape = &read(LINES).unwrap()[2];
        let line = shape.with_times(1.234_56, 2.0);
        assert!(line.starts_with(
            r#"{"kind": "linear", "input": [3, 4], "filters": 5, "fwd_ms": 1.2346, "both_ms": 2"#
        ));
        let again = Shape::parse(&line).unwrap();
        assert_eq!(
            (again.key(), again.times()),
            (shape.key(), Some([1.2346, 2.0]))
        );
        assert_eq!(again.fields["name"], shape.name.as_str());
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for line in ["{", "[]", "{\"input\": [1]}"] {
            let error = read(&format!("\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: "), "{error}");
        }
        for line in [
            r#"{"kind": "fold", "input": [3]}"#,
            r#"{"kind": "linear", "input": [3], "filters": 2}"#,
            r#"{"kind": "linear", "input": [3, -1], "filters": 2}"#,
            r#"{"kind": "gelu", "input": [4294967296, 4294967296]}"#,
            r#"{"kind": "conv2d", "input": [1, 1, 2, 2], "filters": 1, "kernel": 5}"#,
        ] {
            let shape = Shape::parse(line).unwrap();
            let made = Operation::new(&shape, &Device::cpu(), DType::F32);
            assert!(
                made.and_then(|o| o.upstream(&Device::cpu())).is_err(),
                "{line}"
            );
        }
    }
}
