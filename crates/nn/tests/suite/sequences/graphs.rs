//! Layers on graphs.

use super::{check, devices, fill, lattice, values};
use wgrad_graph::{Device, Generator, Tensor, grad};
use wgrad_nn::{Aggregate, Context, GatConv, GatOptions, GcnConv, propagate};

/// Edge 7 goes from a node to itself, and node 4 has no edges.
fn edges(d: &Device) -> Tensor {
    let ends = [0, 1, 2, 3, 3, 5, 0, 2, 1, 0, 1, 0, 5, 3, 5, 2];
    Tensor::from_slice(&ends, &[2, 8], d)
}

#[test]
fn layers_equal_their_formulas() {
    for d in devices() {
        let (rng, cx) = (&mut Generator::new(0), &mut Context::eval());
        let (x, edges) = (lattice(500, &[6, 4], &d), edges(&d));
        let mut gcn = GcnConv::new(4, 3, rng, &d);
        fill(&mut gcn, &d);
        let y = gcn.forward(&x, &edges, None);
        check("gcn", &gcn, &[("x", &x)], &[&y]);
        let w: Vec<f32> = super::numbers(501, 8).into_iter().map(f32::abs).collect();
        let w = Tensor::from_slice(&w, &[8], &d);
        let y = gcn.forward(&x, &edges, Some(&w));
        check("gcn_weights", &gcn, &[("x", &x), ("w", &w)], &[&y]);
        for (name, concat) in [("gat_concat", true), ("gat_mean", false)] {
            let options = GatOptions {
                heads: 2,
                concat,
                ..GatOptions::default()
            };
            let mut gat = GatConv::new(4, 3, &options, rng, &d);
            fill(&mut gat, &d);
            let y = gat.forward(&x, &edges, cx);
            check(name, &gat, &[("x", &x)], &[&y]);
        }
        for (name, aggregate) in [
            ("sum", Aggregate::Sum),
            ("mean", Aggregate::Mean),
            ("amax", Aggregate::Max),
        ] {
            let y = propagate(&x, &edges, aggregate, |a, b| (a * b).tanh());
            check(&format!("propagate_{name}"), &(), &[("x", &x)], &[&y]);
        }
    }
}

#[test]
fn scores_of_any_size_have_a_softmax() {
    let d = Device::cpu();
    let mut gat = GatConv::new(1, 1, &GatOptions::default(), &mut Generator::new(0), &d);
    gat.lin.weight = Tensor::ones(&[1, 1], gat.lin.weight.dtype(), &d);
    gat.att_src = Tensor::full(&[1, 1, 1], 1000.0, gat.lin.weight.dtype(), &d);
    let x = Tensor::from_slice(&[3f32, -2.0, 1.0], &[3, 1], &d);
    let edges = Tensor::from_slice(&[0, 1, 1, 2], &[2, 2], &d);
    let y = gat.forward(&x, &edges, &mut Context::eval());
    // Each node takes the greatest of what arrives, its own included.
    assert_eq!(values(&y), [3.0, 3.0, 1.0]);
    let g = grad(&y.sum(), &[&x]).unwrap();
    assert!(values(&g[0]).iter().all(|v| v.is_finite()));
}

#[test]
fn graphs_without_edges_and_with_bad_ones() {
    for d in devices() {
        let (rng, cx) = (&mut Generator::new(0), &mut Context::eval());
        let x = lattice(500, &[3, 4], &d);
        let gcn = GcnConv::new(4, 2, rng, &d);
        let gat = GatConv::new(4, 2, &GatOptions::default(), rng, &d);
        let none = Tensor::from_slice::<i32>(&[], &[2, 0], &d);
        let alone = values(&gcn.lin.forward(&x));
        assert_eq!(values(&gcn.forward(&x, &none, None)), alone);
        assert_eq!(
            values(&gat.forward(&x, &none, cx)),
            values(&gat.lin.forward(&x))
        );
        for aggregate in [Aggregate::Sum, Aggregate::Mean, Aggregate::Max] {
            let y = propagate(&x, &none, aggregate, |a, _| a.clone());
            assert_eq!(values(&y), [0.0; 12]);
        }
        for bad in [[0, 3], [-1, 0]] {
            let bad = Tensor::from_slice(&bad, &[2, 1], &d);
            assert!(gcn.forward(&x, &bad, None).to_vec::<f32>().is_err());
            assert!(gat.forward(&x, &bad, cx).to_vec::<f32>().is_err());
        }
        for bad in [
            lattice(1, &[2, 1], &d),
            edges(&d).t(),
            edges(&d).flatten(0, 1),
        ] {
            assert!(gcn.forward(&x, &bad, None).check().is_err());
            assert!(gat.forward(&x, &bad, cx).check().is_err());
            let y = propagate(&x, &bad, Aggregate::Sum, |a, _| a.clone());
            assert!(y.check().is_err());
        }
        let weights = lattice(1, &[3], &d);
        assert!(gcn.forward(&x, &edges(&d), Some(&weights)).check().is_err());
        let y = propagate(&x, &edges(&d), Aggregate::Max, |a, _| a.sum());
        assert!(y.check().is_err());
    }
}
