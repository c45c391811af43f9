use super::*;
use arrow::array::{
    BinaryArray, BinaryViewArray, FixedSizeBinaryArray, Int32Array, LargeBinaryArray, LargeStringArray,
    StringArray, StringViewArray,
};

#[test]
fn every_layout_gives_the_same_bytes_whole_and_sliced() {
    let texts = [
        "",
        "short",
        "exactly twelve"[..12].as_ref(),
        "longer than twelve bytes",
        "é",
        "another long one here",
    ];
    let arrays: [Box<dyn Array>; 6] = [
        Box::new(StringArray::from_iter_values(texts)),
        Box::new(LargeStringArray::from_iter_values(texts)),
        Box::new(BinaryArray::from_iter_values(texts)),
        Box::new(LargeBinaryArray::from_iter_values(texts)),
        Box::new(StringViewArray::from_iter_values(texts)),
        Box::new(BinaryViewArray::from_iter_values(texts)),
    ];
    for array in &arrays {
        let sliced = array.slice(1, 4);
        for (array, texts) in [(array.as_ref(), &texts[..]), (sliced.as_ref(), &texts[1..5])] {
            let blobs = Blobs::of(array).unwrap();
            for (row, text) in texts.iter().enumerate() {
                assert_eq!(blobs.get(row), text.as_bytes(), "{}", array.data_type());
                assert_eq!(blobs.share(row), text.as_bytes());
                assert_eq!(blobs.len(row), text.len());
            }
        }
    }
}

#[test]
fn fixed_width_and_other_types() {
    let array = FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4], [5, 6]].iter()).unwrap().slice(1, 2);
    let blobs = Blobs::of(&array).unwrap();
    assert_eq!((blobs.get(0), blobs.share(1).as_ref(), blobs.len(0)), (&[3u8, 4][..], &[5u8, 6][..], 2));
    assert!(Blobs::of(&Int32Array::from(vec![1])).is_none());
}

#[test]
fn sharing_keeps_the_buffer_alive_and_uncopied() {
    let value = vec![9u8; 1000];
    let array = BinaryViewArray::from_iter_values([&value]);
    let address = array.value(0).as_ptr();
    let shared = Blobs::of(&array).unwrap().share(0);
    assert_eq!(shared.as_ptr(), address);
    drop(array);
    assert_eq!(shared, value);
}
