//! Every kind of figure: sound XML with its labels, the same for the same input, and no panic whatever the data.

use proptest::prelude::*;
use wgrad_plot::{ColorMap, Figure, Grid, Network, Picture, PlotError, Surface, Theme};

/// What a figure of each kind is made of.
#[derive(Clone, Debug)]
struct Data {
    xs: Vec<f64>,
    ys: Vec<f64>,
    zs: Vec<f64>,
    text: String,
    number: usize,
}

impl Data {
    fn plain() -> Data {
        Data {
            xs: (0..12).map(f64::from).collect(),
            ys: (0..12).map(|i| f64::from(i * i % 7) + 0.5).collect(),
            zs: (0..12).map(|i| f64::from(i % 5) / 5.0).collect(),
            text: "label".to_owned(),
            number: 3,
        }
    }
}

type Kind = (&'static str, fn(Figure, &Data) -> Figure);

const KINDS: [Kind; 23] = [
    ("line", |f, d| f.line(&d.text, &d.xs, &d.ys)),
    ("dashed", |f, d| f.dashed(&d.text, &d.xs, &d.ys)),
    ("dotted_line", |f, d| f.dotted_line(&d.text, &d.xs, &d.ys)),
    ("smoothed", |f, d| f.smoothed(&d.text, &d.xs, &d.ys, 0.9)),
    ("log", |f, d| {
        f.log_x()
            .log_y()
            .line(&d.text, &d.xs, &d.ys)
            .scatter("s", &d.ys, &d.xs)
    }),
    ("band", |f, d| f.band(&d.text, &d.xs, &d.zs, &d.ys)),
    ("scatter", |f, d| f.scatter(&d.text, &d.xs, &d.ys).equal()),
    ("bar", |f, d| {
        let labels = vec![d.text.as_str(); d.xs.len()];
        f.bar(&d.text, &labels, &d.xs).bar("second", &labels, &d.ys)
    }),
    ("histogram", |f, d| {
        f.histogram(&d.text, &d.ys, 1 + d.number)
    }),
    ("histogram_of", |f, d| {
        f.histogram_of(&d.text, &[0.0, 1.0, 3.0], &[4, 2])
    }),
    ("box_plot", |f, d| {
        f.box_plot(&d.text, &d.xs).box_plot("second", &d.ys)
    }),
    ("heat_map", |f, d| {
        f.heat_map(1, d.xs.len(), &d.xs)
            .row_names(&[&d.text])
            .colors(ColorMap::Diverging)
    }),
    ("surface", |f, d| {
        f.surface(&surface(d))
            .contour(&surface(d), 1 + d.number)
            .vertical(&d.text, 0.5)
    }),
    ("regions", |f, d| {
        let classes = Surface::of((0.0, 1.0), (0.0, 1.0), 9, 9, |x, _| {
            (x * d.number as f64).floor()
        });
        f.regions(&classes).scatter(&d.text, &d.xs, &d.ys)
    }),
    ("quiver", |f, d| {
        f.quiver(&d.xs, &d.ys, &d.zs, &d.xs).x(d.text.as_str())
    }),
    ("rules", |f, d| {
        f.horizontal(&d.text, d.ys.first().copied().unwrap_or(1.0))
            .vertical("v", 2.0)
    }),
    ("confusion", |f, d| {
        let n = 1 + d.number;
        let names: Vec<&str> = (0..n).map(|_| d.text.as_str()).collect();
        f.confusion(&names, &(0..n * n).collect::<Vec<_>>())
    }),
    ("roc", |f, d| {
        f.roc(&d.text, &[0.1, 0.4, 0.4, 0.8], &[false, true, false, true])
    }),
    ("calibration", |f, d| {
        f.calibration(
            &d.text,
            &[0.1, 0.4, 0.9],
            &[false, true, true],
            1 + d.number,
        )
    }),
    ("images", |f, d| f.images(&pictures(d))),
    ("image_grid", |f, d| {
        f.image_grid(1 + d.number % 64, &pictures(d))
    }),
    ("film_strip", |f, d| f.film_strip(&pictures(d))),
    ("network", |f, d| {
        let n = 1 + d.number;
        let graph = (0..n).fold(Network::directed(), |g, i| g.node_in(d.text.as_str(), i));
        let graph = (0..n).fold(graph, |g, i| g.edge(i, i * i % n));
        f.network(&graph)
    }),
];

fn surface(d: &Data) -> Surface {
    let value = |x: f64, y: f64| {
        let at = ((x * 7.0 + y * 5.0) as usize) % d.ys.len().max(1);
        d.ys.get(at).copied().unwrap_or(f64::NAN)
    };
    Surface::of((0.0, 1.0), (0.0, 2.0), 8, 9, value)
}

fn pictures(d: &Data) -> Vec<Picture> {
    let picture = |i: usize| {
        Picture::floats(2, 3, &[d.zs[i]; 6], (0.0, 1.0))
            .caption(d.text.as_str())
            .right(i.is_multiple_of(2))
    };
    (0..d.zs.len()).map(picture).collect()
}

/// All text of a sound XML document.
fn words(svg: &str) -> String {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|e| panic!("{e}\n{svg}"));
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let attributes = document.descendants().flat_map(|node| node.attributes());
    for attribute in attributes.filter(|attribute| attribute.name() != "href") {
        let value = attribute.value();
        assert!(
            !value.contains("NaN") && !value.contains("inf"),
            "{attribute:?}"
        );
    }
    document
        .descendants()
        .filter_map(|node| node.text())
        .collect::<Vec<_>>()
        .join("|")
}

#[test]
fn every_kind_is_sound_has_its_labels_and_is_the_same_twice() {
    let data = Data::plain();
    for (name, kind) in KINDS {
        let figure = || kind(Figure::new("The title").x("the x").y("the y"), &data);
        let svg = figure().to_svg().unwrap_or_else(|e| panic!("{name}: {e}"));
        let words = words(&svg);
        assert!(words.contains("The title"), "{name}: {words}");
        assert!(words.contains("label"), "{name}: {words}");
        if !["images", "image_grid", "film_strip", "network"].contains(&name) {
            assert!(words.contains("the y"), "{name}: {words}");
        }
        assert_eq!(svg, figure().to_svg().unwrap(), "{name}");
        assert!(svg.len() < 40_000, "{name}: {} bytes", svg.len());
    }
}

#[test]
fn themes_differ_only_in_colours_and_style() {
    for (name, kind) in KINDS {
        let svg = |theme| {
            kind(Figure::new("t").theme(theme), &Data::plain())
                .to_svg()
                .unwrap()
        };
        let (auto, light, dark) = (svg(Theme::Auto), svg(Theme::Light), svg(Theme::Dark));
        assert!(auto.contains("prefers-color-scheme:dark"), "{name}");
        assert!(
            !light.contains("<style>") && !dark.contains("<style>"),
            "{name}"
        );
        assert!(
            light.contains("#ffffff") && dark.contains("#14181d"),
            "{name}"
        );
        assert_eq!(words(&light), words(&dark), "{name}");
    }
}

#[test]
fn hostile_labels_stay_text() {
    let text = "</text><script>alert(1)</script>\u{0}\u{8}\n\"'&amp;]]>\u{202e}\u{ffff}漢字🦀";
    for (name, kind) in KINDS {
        let data = Data {
            text: text.repeat(3),
            ..Data::plain()
        };
        let svg = kind(Figure::new(text).x(text).y(text).note(text), &data).to_svg();
        let svg = svg.unwrap_or_else(|e| panic!("{name}: {e}"));
        words(&svg);
        assert!(!svg.contains("<script"), "{name}");
        let document = roxmltree::Document::parse(&svg).unwrap();
        let tags = [
            "svg", "title", "style", "g", "path", "rect", "clipPath", "image", "text",
        ];
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            assert!(tags.contains(&node.tag_name().name()), "{name}: {node:?}");
        }
    }
}

#[test]
fn a_million_points_become_a_small_file() {
    let xs: Vec<f64> = (0..1_000_000).map(f64::from).collect();
    let ys: Vec<f64> = xs
        .iter()
        .map(|x| (x * 1e-5).sin() + (x * 12.9898).sin().fract() * 0.3)
        .collect();
    for figure in [
        Figure::new("line").line("l", &xs, &ys),
        Figure::new("back and forth").line("l", &ys, &xs),
        Figure::new("points").scatter("p", &xs, &ys),
        Figure::new("values").histogram("h", &ys, 100),
        Figure::new("field").quiver(&xs, &ys, &ys, &ys),
        Figure::new("matrix").heat_map(1000, 1000, &ys),
    ] {
        let svg = figure.to_svg().unwrap();
        words(&svg);
        let most = if svg.contains("matrix") {
            5_000_000
        } else {
            600_000
        };
        assert!(svg.len() < most, "{} bytes", svg.len());
    }
}

#[test]
fn wrong_inputs_are_named() {
    let cases: [(Figure, &[&str]); 13] = [
        (
            Figure::new("f").row_names(&["a"]).heat_map(2, 1, &[1, 2]),
            &["row_names", "1 names for 2 rows"],
        ),
        (
            Figure::new("f").line("a", &[1, 2], &[1.0]),
            &["\"f\"", "line \"a\"", "x has 2", "y has 1"],
        ),
        (
            Figure::new("f").bar("a", &["x"], &[1, 2]),
            &["labels has 1", "heights has 2"],
        ),
        (
            Figure::new("f")
                .bar("a", &["x"], &[1])
                .bar("b", &["y"], &[1]),
            &["bar \"b\"", "labels"],
        ),
        (
            Figure::new("f").heat_map(2, 2, &[1, 2, 3]),
            &["2 x 2 cells", "3 values"],
        ),
        (
            Figure::new("f").confusion(&["a", "b"], &[1, 2, 3]),
            &["2 classes", "2 x 2", "not 3"],
        ),
        (
            Figure::new("f").confusion(&["a"], &[-1]),
            &["-1 is no count"],
        ),
        (
            Figure::new("f").roc("a", &[0.5], &[true]),
            &["1 of 1 are positive"],
        ),
        (
            Figure::new("f").calibration("a", &[1.5], &[true], 10),
            &["1.5 is no probability"],
        ),
        (
            Figure::new("f").images(&[Picture::grey(2, 2, &[0])]),
            &["image 0", "1 bytes", "2 x 2"],
        ),
        (
            Figure::new("f").network(&Network::new().node("a").edge(0, 1)),
            &["edge 0 to 1"],
        ),
        (Figure::new("f").y_range(1.0, f64::NAN), &["y_range", "NaN"]),
        (
            Figure::new("f").images(&[]).line("a", &[1], &[1]),
            &["no axes"],
        ),
    ];
    for (figure, parts) in cases {
        let error = figure.to_svg().expect_err("an error").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        assert!(figure.save(&path).is_err() && !path.exists());
    }
}

#[test]
fn what_is_left_out_is_said() {
    let svg = Figure::new("f")
        .log_y()
        .line("a", &[1, 2, 3], &[1.0, f64::NAN, -1.0])
        .to_svg()
        .unwrap();
    assert!(words(&svg).contains("2 of 3 values are not finite and positive"));
    let empty = Figure::new("f")
        .line::<f64, f64>("a", &[], &[])
        .to_svg()
        .unwrap();
    assert!(words(&empty).contains("no data"));
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.svg");
    Figure::new("first").save(&path).unwrap();
    Figure::new("second").save(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("second"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Figure::new("f")
        .save(folder.path().join("absent/a.svg"))
        .unwrap_err();
    assert!(matches!(error, PlotError::File { .. }) && error.to_string().contains("absent"));
}

#[test]
fn grids_hold_every_figure() {
    let all = |grid: Grid, (name, kind): Kind| grid.figure(kind(Figure::new(name), &Data::plain()));
    let svg = KINDS.into_iter().fold(Grid::new(3), all).to_svg().unwrap();
    let words = words(&svg);
    assert!(KINDS.iter().all(|(name, _)| words.contains(name)));
    let broken = Grid::new(2)
        .figure(Figure::new("fine"))
        .figure(Figure::new("bad").line("", &[1], &[1, 2]));
    assert!(broken.to_svg().unwrap_err().to_string().contains("bad"));
}

/// Numbers that go wrong somewhere.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>(),
        4 => -10.0..10.0f64,
        1 => Just(0.0),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e300, -1e-300,
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_data_makes_a_figure_panic(
        rows in prop::collection::vec((number(), number(), number()), 0..40),
        text in any::<String>(),
        number in 0usize..40,
        (width, height) in (0u32..900, 0u32..900),
        equal in any::<bool>(),
    ) {
        let data = Data {
            xs: rows.iter().map(|row| row.0).collect(),
            ys: rows.iter().map(|row| row.1).collect(),
            zs: rows.iter().map(|row| row.2).collect(),
            text,
            number,
        };
        for (name, kind) in KINDS {
            let figure = kind(Figure::new(data.text.as_str()).size(width, height).x(data.text.as_str()), &data);
            let figure = if equal { figure.equal() } else { figure };
            match figure.to_svg() {
                Ok(svg) => { words(&svg); }
                Err(error) => prop_assert!(!error.to_string().is_empty(), "{}", name),
            }
        }
    }

    #[test]
    fn any_range_is_an_axis(from in number(), to in number(), log in any::<bool>()) {
        let figure = if log { Figure::new("f").log_x().log_y() } else { Figure::new("f") };
        let figure = figure.line("a", &[1.0, 2.0, 1e3], &[0.1, 5.0, 1e9]).x_range(from, to).y_range(from, to);
        if let Ok(svg) = figure.to_svg() {
            words(&svg);
        }
    }
}

#[cfg(feature = "png")]
#[test]
fn every_kind_becomes_pixels() {
    for (name, kind) in KINDS {
        let figure = kind(Figure::new(name).theme(Theme::Dark), &Data::plain());
        let png = figure.to_png(1.0).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(png.starts_with(b"\x89PNG") && png.len() > 1000, "{name}");
    }
    assert!(Figure::new("f").to_png(0.0).is_err());
    assert!(Figure::new("f").to_png(f32::NAN).is_err());
    let folder = tempfile::tempdir().unwrap();
    Figure::new("f").save(folder.path().join("a.png")).unwrap();
}

#[cfg(not(feature = "png"))]
#[test]
fn a_png_without_its_feature_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = Figure::new("f")
        .save(folder.path().join("a.png"))
        .unwrap_err();
    assert!(error.to_string().contains("feature `png`"), "{error}");
}
