use super::*;
use crate::LavenderShuffle;
use proptest::prelude::*;

fn plan() -> PlanHash {
    PlanHash::new(Order::Global { seed: 7, epoch: 3 }, &ShardRows::new(vec![5, 0, 9]), 42)
}

/// Frozen: users keep these.
#[test]
fn golden_token() {
    let cursor = Cursor { plan: plan(), epoch: 3, step: 100, place: 25_600 };
    let token = "lvc1-a48b7f3a15dc6e1f0758fb1e9c1d85d6\
                 030000000000000064000000000000000064000000000000a046755c0af9677b";
    assert_eq!(cursor.to_string(), token);
    assert_eq!(token.parse(), Ok(cursor));
}

/// All that decides which sample is at a place, and nothing else.
#[test]
fn plans_that_differ() {
    let rows = ShardRows::new(vec![5, 0, 9]);
    let global = Order::Global { seed: 7, epoch: 0 };
    let others = [
        PlanHash::new(Order::Global { seed: 8, epoch: 0 }, &rows, 42),
        PlanHash::new(Order::Windowed { seed: 7, epoch: 0, window_shards: 1 }, &rows, 42),
        PlanHash::new(Order::Sequential, &rows, 42),
        PlanHash::new(
            Order::Lavender { shuffle: Some(LavenderShuffle { seed: 7, block_shards: 1 }) },
            &rows,
            42,
        ),
        PlanHash::new(global, &rows, 43),
        PlanHash::new(global, &ShardRows::new(vec![5, 9, 0]), 42),
        PlanHash::new(global, &ShardRows::new(vec![5, 9]), 42),
    ];
    let cursor = Cursor { plan: plan(), epoch: 0, step: 0, place: 0 };
    assert_eq!(cursor.check(PlanHash::new(global, &rows, 42)), Ok(()));
    for other in others {
        assert_eq!(cursor.check(other), Err(CursorError::OtherPlan));
    }
}

#[test]
fn wrong_tokens() {
    let token = Cursor { plan: plan(), epoch: 0, step: 1, place: 2 }.to_string();
    let cases = [
        ("".to_owned(), CursorError::NotACursor),
        ("lvc".to_owned(), CursorError::NotACursor),
        ("lvc-".to_owned(), CursorError::NotACursor),
        ("lvcx-00".to_owned(), CursorError::NotACursor),
        (format!("{token}{}", "0".repeat(1000)), CursorError::NotACursor),
        (token.replace("lvc1", "lvc2"), CursorError::OtherVersion),
        (token.replace("lvc1", "lvc12"), CursorError::OtherVersion),
        ("lvc1-".to_owned(), CursorError::Damaged),
        (format!("{token}00"), CursorError::Damaged),
        (token.to_uppercase().replace("LVC", "lvc"), CursorError::Damaged),
        (token[..token.len() - 1].to_owned() + "é", CursorError::Damaged),
    ];
    for (token, error) in cases {
        assert_eq!(token.parse::<Cursor>(), Err(error), "{token}");
    }
    for place in 5..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(changed.parse::<Cursor>(), Err(CursorError::Damaged), "{changed}");
    }
}

proptest! {
    #[test]
    fn there_and_back(epoch: u64, step: u64, place: u64, seed: u64) {
        let plan = PlanHash::new(Order::Global { seed, epoch: 0 }, &ShardRows::new(vec![1]), 0);
        let cursor = Cursor { plan, epoch, step, place };
        let token = cursor.to_string();
        prop_assert!(token.len() <= 128);
        prop_assert_eq!(token.parse(), Ok(cursor));
    }

    #[test]
    fn any_text(text in ".{0,200}", digits in "lvc1-[0-9a-f]{96}") {
        prop_assert!(text.parse::<Cursor>().is_err());
        prop_assert!(digits.parse::<Cursor>().is_err());
    }
}
