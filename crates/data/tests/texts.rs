//! Tokenisers, vocabularies and padding on real texts and on random ones.

use std::path::Path;

use proptest::prelude::*;
use wgrad_data::text::{
    Characters, NGrams, Pad, SequenceDataset, Side, Tokenizer, Vocabulary, VocabularyOptions,
    Words, multi_hot, one_hot, pad,
};
use wgrad_data::{Dataset, Error, Loader, Windows};
use wgrad_graph::{Device, Tensor};

fn shared(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/text")
        .join(path);
    if !path.exists() {
        println!("absent: {}", path.display());
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}

#[test]
fn shakespeare_has_65_characters() {
    let Some(text) = shared("tinyshakespeare.txt") else {
        return;
    };
    let tokens = Characters.tokens(&text);
    let vocabulary = Vocabulary::build(&tokens, &VocabularyOptions::new()).unwrap();
    assert_eq!((tokens.len(), vocabulary.len()), (1_115_394, 65));
    let ids = vocabulary.encode(&tokens).unwrap();
    assert_eq!(vocabulary.decode(&ids).unwrap().concat(), text);
    let device = Device::cpu();
    let set = Windows::new(Tensor::new(&ids, &device), 64, 64).unwrap();
    let mut loader = Loader::new(set, 16, 1).unwrap();
    let (x, y) = loader.epoch().next().unwrap().unwrap();
    let (x, y) = (x.to_vec::<i32>().unwrap(), y.to_vec::<i32>().unwrap());
    assert_eq!(x[1..64], y[..63]);
    assert_eq!(vocabulary.decode(&x).unwrap().len(), 16 * 64);
    let words = Words::new().lowercase(true).tokens(&text);
    let options = VocabularyOptions::new()
        .unknown("<unk>")
        .min_count(5)
        .max_size(1000);
    let vocabulary = Vocabulary::build(&words, &options).unwrap();
    assert_eq!(
        (vocabulary.len(), vocabulary.token(0)),
        (1000, Some("<unk>"))
    );
    let ids = vocabulary.encode(&words).unwrap();
    let known = ids.iter().filter(|id| **id != 0).count();
    assert!(known * 10 > words.len() * 8, "{known} of {}", words.len());
}

#[test]
fn names_are_padded() {
    let Some(text) = shared("names.txt") else {
        return;
    };
    let names: Vec<&str> = text.lines().collect();
    let tokens: Vec<Vec<String>> = names.iter().map(|name| Characters.tokens(name)).collect();
    let options = VocabularyOptions::new().special("<pad>").special(".");
    let vocabulary = Vocabulary::build(tokens.iter().flatten(), &options).unwrap();
    assert_eq!(vocabulary.len(), 28);
    let ids: Vec<Vec<i32>> = tokens
        .iter()
        .map(|t| vocabulary.encode(t).unwrap())
        .collect();
    let set = SequenceDataset::new(ids, Pad::new(0).multiple(4), &Device::cpu());
    assert_eq!(set.len(), 32_033);
    let (x, lengths) = set.get(&[0, 1, 2, 3]).unwrap();
    assert_eq!(x.shape(), [4, 8]);
    let lengths = lengths.to_vec::<i32>().unwrap();
    for (row, (name, length)) in x
        .to_vec::<i32>()
        .unwrap()
        .chunks(8)
        .zip(names.iter().zip(lengths))
    {
        assert_eq!(
            vocabulary.decode(&row[..length as usize]).unwrap().concat(),
            *name
        );
        assert!(row[length as usize..].iter().all(|id| *id == 0));
    }
}

#[test]
fn limits_and_mistakes() {
    let tokens = ["a", "b", "b", "c", "c", "c", "<pad>"];
    let options = VocabularyOptions::new()
        .special("<pad>")
        .min_count(2)
        .max_size(2);
    let vocabulary = Vocabulary::build(&tokens, &options).unwrap();
    assert_eq!(vocabulary.tokens(), ["<pad>", "c"]);
    let error = vocabulary.encode(&["c", "b"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the token `b` at position 1 is not in the vocabulary, which has no unknown token"
    );
    assert!(
        vocabulary
            .decode(&[2])
            .unwrap_err()
            .to_string()
            .contains("none of the 2 tokens'")
    );
    assert!(vocabulary.decode(&[-1]).is_err());
    assert!(Vocabulary::build(&tokens, &options.clone().special("x").special("y")).is_err());
    assert!(
        Vocabulary::build(&tokens, &VocabularyOptions::new().special("x").unknown("x")).is_err()
    );
    let twice = Vocabulary::from_tokens(vec!["a".into(), "a".into()])
        .unwrap_err()
        .to_string();
    assert!(twice.contains("`a` stands there twice"));
    assert!(Vocabulary::with_unknown(vec!["a".into()], Some("b")).is_err());
    let empty: [&str; 0] = [];
    assert!(
        Vocabulary::build(&empty, &VocabularyOptions::new())
            .unwrap()
            .is_empty()
    );
    assert!(matches!(one_hot(&[3], 3), Err(Error::Argument { .. })));
    let error = multi_hot(&[vec![0], vec![-1]], 3).unwrap_err().to_string();
    assert!(
        error.contains("number -1 of row 1 is not below the 3 classes"),
        "{error}"
    );
    assert_eq!(NGrams::new(Characters, 0, 9).tokens("ab"), ["a", "ab", "b"]);
    assert!(NGrams::new(Words::new(), 2, 1).tokens("a b").is_empty());
    assert_eq!(
        pad(&[vec![1, 2, 3]], &Pad::new(0).width(2).truncate(Side::Left)).ids(),
        [2, 3]
    );
    assert_eq!(
        pad(&[vec![1], vec![]], &Pad::new(7).width(2)).ids(),
        [1, 7, 7, 7]
    );
    let none: [Vec<i32>; 0] = [];
    assert_eq!(pad(&none, &Pad::new(0)).width(), 0);
    let (ids, mask, lengths) = pad(&[vec![1], vec![2, 3]], &Pad::new(0)).tensors(&Device::cpu());
    assert_eq!(
        (ids.shape(), mask.shape(), lengths.shape()),
        (&[2, 2][..], &[2, 2][..], &[2][..])
    );
    assert_eq!(mask.to_vec::<bool>().unwrap(), [true, false, true, true]);
}

proptest! {
    #[test]
    fn padding_loses_nothing_and_marks_what_it_adds(
        sequences in prop::collection::vec(prop::collection::vec(1..9, 0..7), 0..6),
        max in prop::option::of(1_usize..6), multiple in 1_usize..4, left: bool, cut_left: bool
    ) {
        let side = |left| if left { Side::Left } else { Side::Right };
        let mut options = Pad::new(0).multiple(multiple).side(side(left)).truncate(side(cut_left));
        if let Some(max) = max {
            options = options.max(max);
        }
        let padded = pad(&sequences, &options);
        for (n, sequence) in sequences.iter().enumerate() {
            let row = n * padded.width()..(n + 1) * padded.width();
            let marked: Vec<i32> = row.clone().filter(|&i| padded.mask()[i]).map(|i| padded.ids()[i]).collect();
            let length = sequence.len().min(max.unwrap_or(usize::MAX));
            let kept = if cut_left { &sequence[sequence.len() - length..] } else { &sequence[..length] };
            prop_assert_eq!(&marked[..], kept);
            prop_assert_eq!(padded.lengths()[n] as usize, length);
            let zeros = row.filter(|&i| !padded.mask()[i]).all(|i| padded.ids()[i] == 0);
            prop_assert!(zeros);
        }
    }

    #[test]
    fn tokens_are_parts_of_the_text(text in "\\PC{0,40}") {
        prop_assert_eq!(Characters.tokens(&text).concat(), text.clone());
        let words = Words::new().tokens(&text).concat();
        let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        prop_assert_eq!(words, dense);
    }
}

#[cfg(feature = "tokenizers")]
mod byte_pair {
    use super::*;
    use wgrad_data::text::BytePair;

    #[test]
    fn shakespeare_becomes_shorter_and_comes_back() {
        let Some(text) = shared("tinyshakespeare.txt") else {
            return;
        };
        let part = &text[..200_000];
        let tokenizer = BytePair::train(part.lines(), 600, &["<end>"]).unwrap();
        assert_eq!(tokenizer.len(), 600);
        let ids = tokenizer.encode(part).unwrap();
        assert!(ids.len() < 110_000, "{}", ids.len());
        assert_eq!(tokenizer.decode(&ids).unwrap(), part);
        assert_eq!(
            BytePair::train(part.lines(), 600, &["<end>"])
                .unwrap()
                .encode(part)
                .unwrap(),
            ids
        );
        let again = BytePair::from_json(&tokenizer.to_json().unwrap()).unwrap();
        assert_eq!(again.encode(part).unwrap(), ids);
        assert_eq!(tokenizer.encode("a<end>").unwrap().last(), Some(&0));
    }

    #[test]
    fn mistakes_are_errors() {
        assert!(
            BytePair::train(["a"], 200, &[])
                .unwrap_err()
                .to_string()
                .contains("no room for 256 bytes")
        );
        assert!(BytePair::from_json("{}").is_err());
        assert!(
            BytePair::read("/nowhere/tokenizer.json")
                .unwrap_err()
                .to_string()
                .contains("/nowhere")
        );
        let tokenizer = BytePair::train(["ab ab"], 260, &[]).unwrap();
        assert!(tokenizer.decode(&[5000]).is_err() && tokenizer.decode(&[-1]).is_err());
        let empty: [&str; 0] = [];
        assert_eq!(
            BytePair::train(empty, 256, &[])
                .unwrap()
                .encode("é")
                .unwrap()
                .len(),
            2
        );
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC{0,60}") {
            let tokenizer = BytePair::train(["the cat sat on the mat"], 280, &[]).unwrap();
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }
}
