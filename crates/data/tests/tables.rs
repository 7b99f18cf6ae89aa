//! Tables and scalers: pandas' and scikit-learn's numbers, real files, and files with faults.

use std::path::PathBuf;

use proptest::prelude::*;
use wgrad_data::table::{Categories, Column, Encoder, Kind, Missing, Summary, Table, TableOptions};
use wgrad_data::{Error, MinMaxScaler, StandardScaler, split};
use wgrad_graph::{Device, Tensor};

fn csv(text: &str) -> Result<Table, Error> {
    Table::from_csv(text.as_bytes(), "t.csv")
}

fn message(result: Result<Table, Error>) -> String {
    result.unwrap_err().to_string()
}

/// A file beside the checkout; said aloud where it is absent.
fn shared(path: &str) -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = dir.join(path);
    if !path.exists() {
        println!("absent: {}", path.display());
        return None;
    }
    Some(path)
}

/// Equal to 1e-9 of their size.
fn near(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

/// `describe()` of the penguins in pandas 3.1: count; mean, standard deviation, least, quartiles, greatest.
const NUMBERS: [(&str, usize, [f64; 7]); 5] = [
    (
        "bill_length_mm",
        342,
        [
            43.921929824561,
            5.459583713927,
            32.1,
            39.225,
            44.45,
            48.5,
            59.6,
        ],
    ),
    (
        "bill_depth_mm",
        342,
        [
            17.151169590643,
            1.974793156817,
            13.1,
            15.6,
            17.3,
            18.7,
            21.5,
        ],
    ),
    (
        "flipper_length_mm",
        342,
        [
            200.915204678363,
            14.061713679357,
            172.0,
            190.0,
            197.0,
            213.0,
            231.0,
        ],
    ),
    (
        "body_mass_g",
        342,
        [
            4201.754385964912,
            801.954535698095,
            2700.0,
            3550.0,
            4050.0,
            4750.0,
            6300.0,
        ],
    ),
    (
        "year",
        344,
        [
            2008.029069767442,
            0.818355925484,
            2007.0,
            2007.0,
            2008.0,
            2009.0,
            2009.0,
        ],
    ),
];

#[test]
fn penguins_are_pandas() {
    let Some(path) = shared("tables/penguins.csv") else {
        return;
    };
    let table = Table::read_csv(path).unwrap();
    let kinds: Vec<Kind> = table.columns().iter().map(Column::kind).collect();
    use Kind::{Category, Float, Integer};
    assert_eq!(
        kinds,
        [
            Category, Category, Float, Float, Integer, Integer, Category, Integer
        ]
    );
    let missing: Vec<usize> = table.columns().iter().map(Column::missing).collect();
    assert_eq!(missing, [0, 0, 2, 2, 2, 2, 11, 0]);
    let described = table.describe();
    for (name, n, expected) in NUMBERS {
        let Some(&Summary::Numbers {
            count,
            mean,
            std,
            min,
            q25,
            median,
            q75,
            max,
        }) = described.get(name)
        else {
            panic!("{name} is not numbers");
        };
        assert_eq!(count, n);
        for (got, expected) in [mean, std, min, q25, median, q75, max]
            .into_iter()
            .zip(expected)
        {
            assert!(near(got, expected), "{name}: {got} {expected}");
        }
    }
    for (name, count, unique, top, freq) in [
        ("species", 344, 3, "Adelie", 152),
        ("island", 344, 3, "Biscoe", 168),
        ("sex", 333, 2, "male", 168),
    ] {
        let top = top.to_owned();
        let expected = Summary::Texts {
            count,
            unique,
            top,
            freq,
        };
        assert_eq!(described.get(name), Some(&expected));
    }
    assert!(described.to_string().contains("Adelie"));
}

/// `get_dummies(drop_first=True)` of pandas, of the penguins without a missing value.
#[test]
fn dummies_are_pandas() {
    let Some(path) = shared("tables/penguins.csv") else {
        return;
    };
    let table = Table::read_csv(path).unwrap();
    let whole = table.drop_missing();
    let columns = ["body_mass_g", "species", "island", "sex"];
    let encoder = Encoder::new()
        .categories(Categories::Dummies)
        .fit(&whole, &columns)
        .unwrap();
    let matrix = encoder.transform(&whole).unwrap();
    assert_eq!(
        matrix.columns(),
        [
            "body_mass_g",
            "species=Chinstrap",
            "species=Gentoo",
            "island=Dream",
            "island=Torgersen",
            "sex=male"
        ]
    );
    let sum = |at: usize| {
        matrix
            .data()
            .iter()
            .skip(at)
            .step_by(6)
            .map(|&v| f64::from(v))
            .sum::<f64>()
    };
    let sums: Vec<f64> = (0..6).map(sum).collect();
    assert_eq!(sums, [1_400_950.0, 68.0, 119.0, 123.0, 47.0, 168.0]);
    assert_eq!(matrix.rows(), 333);
    let labels: Vec<usize> = table
        .codes("species")
        .unwrap()
        .0
        .iter()
        .map(|&c| c as usize)
        .collect();
    for fold in split::stratified_k_fold(&labels, 5, Some(1)).unwrap() {
        assert!(fold.test.len() >= 68 && table.rows(&fold.test).unwrap().len() == fold.test.len());
    }
}

#[test]
fn default_and_others_read() {
    if let Some(path) = shared("islr/Default.csv") {
        let table = Table::read_csv(path).unwrap();
        assert_eq!(
            table.names(),
            ["", "default", "student", "balance", "income"]
        );
        let Some(&Summary::Numbers { mean, std, q25, .. }) = table.describe().get("balance") else {
            panic!("balance is not numbers");
        };
        assert!(near(mean, 835.374885612557) && near(std, 483.714985205617));
        assert!(near(q25, 481.731105054518));
        let (codes, levels) = table.codes("default").unwrap();
        assert_eq!(
            (codes.iter().sum::<i32>(), levels),
            (333, vec!["No".into(), "Yes".into()])
        );
    }
    for (file, rows, columns) in [
        ("tables/iris.csv", 150, 5),
        ("tables/wine.csv", 178, 14),
        ("tables/breast_cancer.csv", 569, 31),
        ("tables/diabetes.csv", 442, 11),
        ("islr/Advertising.csv", 200, 5),
        ("islr/Income2.csv", 30, 4),
    ] {
        let Some(path) = shared(file) else { continue };
        let table = Table::read_csv(path).unwrap();
        assert_eq!(
            (table.len(), table.columns().len()),
            (rows, columns),
            "{file}"
        );
    }
    if let Some(path) = shared("cora/nodes.tsv") {
        let table = TableOptions::tsv()
            .column("words", Kind::Text)
            .read(path)
            .unwrap();
        assert_eq!(table.len(), 2708);
        assert_eq!(table.codes("class").unwrap().1.len(), 7);
    }
}

#[test]
fn faults_name_file_line_and_column() {
    let cases = [
        (
            "a,b\n1,2\n3\n",
            "t.csv: line 3: the row has 1 fields, the header has 2",
        ),
        (
            "a,b\n1,2\n3,4,5\n",
            "t.csv: line 3: the row has 3 fields, the header has 2",
        ),
        (
            "a,a\n",
            "t.csv: line 1, column 2: two columns are called `a`",
        ),
        ("", "t.csv: line 1: the file is empty"),
        (
            "a,b\n1,2\n2,3\n\"multi\nline\",4\n4,x\n5,6\n",
            "t.csv: line 4, column `a`: `multi\nline` is no number, as 4 of the column's 5 values are; give the column's kind, or the text as missing",
        ),
    ];
    for (text, expected) in cases {
        let got = message(csv(text));
        assert_eq!(got, expected, "{text:?}");
    }
    let kind = |kind| {
        TableOptions::csv()
            .column("a", kind)
            .from_reader(&b"a\n1\n\n2.5\n"[..], "t.csv")
    };
    assert_eq!(
        message(kind(Kind::Integer)),
        "t.csv: line 4, column `a`: `2.5` is no whole number"
    );
    assert_eq!(
        kind(Kind::Float).unwrap().matrix(&["a"]).unwrap().data(),
        [1.0, 2.5]
    );
    for end in ["\n", "\r\n", "\r"] {
        let text = ["a,b", "", "1,\"x", "y\"", "", "", "2", ""].join(end);
        let error = message(csv(&text));
        assert_eq!(
            error, "t.csv: line 7: the row has 1 fields, the header has 2",
            "{end:?}"
        );
    }
}

#[test]
fn bad_numbers_and_encodings_are_errors() {
    let float = |text: &str| {
        let options = TableOptions::csv().column("a", Kind::Float);
        message(options.from_reader(text.as_bytes(), "t.csv"))
    };
    assert_eq!(
        float("a\n1e999\n"),
        "t.csv: line 2, column `a`: `1e999` is no number"
    );
    assert!(float("b\n1\n").starts_with("t.csv: no column `a`, there are: b"));
    let latin = b"name,n\nJos\xe9,1\nZo\xeb,2\n";
    let error = message(Table::from_csv(latin, "t.csv"));
    assert!(
        error.starts_with("t.csv: line 2, column `name`: byte 0xe9 at byte 3"),
        "{error}"
    );
    let table = TableOptions::csv()
        .latin1(true)
        .from_reader(&latin[..], "t.csv")
        .unwrap();
    assert_eq!(table.codes("name").unwrap().1, ["José", "Zoë"]);
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("a,b\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert!(message(Table::from_csv(&utf16, "t.csv")).contains("UTF-16"));
    let bom = Table::from_csv("\u{feff}a,b\n1,2\n".as_bytes(), "t.csv").unwrap();
    assert_eq!(bom.names(), ["a", "b"]);
    let missing = Table::read_csv("/nowhere/at/all.csv")
        .unwrap_err()
        .to_string();
    assert!(missing.contains("/nowhere/at/all.csv"), "{missing}");
}

#[test]
fn what_is_missing_is_named() {
    let table = csv("x,c\n1,u\nNA,v\n3,u\n").unwrap();
    let error = table.matrix(&["x"]).unwrap_err().to_string();
    assert_eq!(error, "t.csv: row 1, column `x`: a number is missing here");
    assert!(
        table
            .matrix(&["c"])
            .unwrap_err()
            .to_string()
            .contains("holds categories, not numbers")
    );
    assert!(table.rows(&[3]).is_err() && table.select(&["q"]).is_err());
    assert!(
        Encoder::new()
            .fit(&table.rows(&[]).unwrap(), &["x"])
            .is_err()
    );
    let late = Encoder::new()
        .fit(&table, &["x"])
        .unwrap()
        .transform(&table)
        .unwrap_err();
    assert!(late.to_string().contains("row 1, column `x`"));
    let baseline = Encoder::new()
        .categories(Categories::Dummies)
        .baseline("c", "w");
    assert!(
        baseline
            .fit(&table, &["c"])
            .unwrap_err()
            .to_string()
            .contains("`w` is none of its levels (u, v)")
    );
}

#[test]
fn encoders_follow_the_training_table() {
    let train = csv("x,c\n1,b\nNA,b\n4,a\n10,NA\n").unwrap();
    let test = csv("c,x\nz,7\na,NA\n").unwrap();
    let encode = |encoder: Encoder| {
        let encoder = encoder.fit(&train, &["c", "x"]).unwrap();
        encoder.transform(&test).map(|m| m.data().to_vec())
    };
    let median = Encoder::new().missing(Missing::Median);
    assert!(encode(median.clone()).is_err());
    let unknown = median.clone().ignore_unknown(true);
    assert_eq!(encode(unknown).unwrap(), [0.0, 0.0, 7.0, 1.0, 0.0, 4.0]);
    let zero = Encoder::new().missing(Missing::Zero).ignore_unknown(true);
    assert_eq!(
        encode(zero.clone()).unwrap(),
        [0.0, 0.0, 7.0, 1.0, 0.0, 0.0]
    );
    // The most frequent level of the training part stands in for a missing one.
    let fitted = median.clone().fit(&train, &["c"]).unwrap();
    assert_eq!(fitted.transform(&train).unwrap().data()[6..], [0.0, 1.0]);
    assert_eq!(fitted.levels("c"), ["a", "b"]);
    let ordinal = median
        .categories(Categories::Ordinal)
        .fit(&train, &["c"])
        .unwrap();
    assert_eq!(
        ordinal.transform(&train).unwrap().data(),
        [1.0, 1.0, 0.0, 1.0]
    );
}

#[test]
fn scalers_are_scikit_learns() {
    let device = Device::cpu();
    let rows = [
        1.0f32, 10.0, -3.0, 2.0, 10.0, 5.5, 4.0, 10.0, 0.25, 7.0, 10.0, -8.0,
    ];
    let train = Tensor::from_slice(&rows, &[4, 3], &device);
    let test = Tensor::from_slice(&[3.0f32, 11.0, 1.0, 0.0, 9.0, -9.0], &[2, 3], &device);
    let close = |got: &Tensor, expected: [f64; 6]| {
        for (got, expected) in got.to_vec::<f32>().unwrap().into_iter().zip(expected) {
            assert!((f64::from(got) - expected).abs() < 1e-6, "{got} {expected}");
        }
    };
    let scaler = StandardScaler::fit(&train).unwrap();
    assert_eq!(scaler.mean(), [3.5, 10.0, -1.3125]);
    assert!(near(scaler.std()[0], 2.29128784747792) && scaler.std()[1] == 1.0);
    close(
        &scaler.transform(&test),
        [
            -0.2182178902359924,
            1.0,
            0.47100330099123966,
            -1.5275252316519468,
            -1.0,
            -1.5657677303222293,
        ],
    );
    let scaler = MinMaxScaler::fit(&train, -1.0, 2.0).unwrap();
    let scaled = scaler.transform(&test);
    close(&scaled, [0.0, 2.0, 1.0, -1.5, -4.0, -1.2222222222222223]);
    close(
        &scaler.inverse_transform(&scaled),
        [3.0, 11.0, 1.0, 0.0, 9.0, -9.0],
    );
    assert!(StandardScaler::fit_rows(&[], 2).is_err());
    assert!(StandardScaler::fit_rows(&[1.0, 2.0, 3.0], 2).is_err());
    let error = StandardScaler::fit_rows(&[1.0, f32::NAN], 2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("row 0, column 1"), "{error}");
    assert!(MinMaxScaler::fit_rows(&[1.0], 1, 1.0, 1.0).is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_a_table_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(table) = Table::from_csv(&bytes, "t") {
            prop_assert!(!table.describe().to_string().is_empty());
        }
    }

    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec((any::<i64>(), prop::option::of(-1e6..1e6f64), "[a-z ,\"\n]{1,8}x"), 1..30)
    ) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut text = "i,f,t\n".to_owned();
        for (i, f, t) in &rows {
            let f = f.map(|f| f.to_string()).unwrap_or_default();
            text += &format!("{i},{f},{}\n", quoted(t));
        }
        let options = TableOptions::csv().column("t", Kind::Text).column("f", Kind::Float);
        let table = options.from_reader(text.as_bytes(), "t").unwrap();
        let floats: Vec<Option<f64>> = rows.iter().map(|r| r.1).collect();
        prop_assert_eq!(table.column("f").unwrap().numbers().unwrap(), floats);
        let integers: Vec<Option<i64>> = rows.iter().map(|r| Some(r.0)).collect();
        prop_assert_eq!(table.column("i").unwrap(), &Column::integers("i", integers));
        let texts: Vec<Option<String>> = rows.iter().map(|r| Some(r.2.trim().to_owned())).collect();
        prop_assert_eq!(table.column("t").unwrap(), &Column::texts("t", texts));
    }
}
