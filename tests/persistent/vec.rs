//! builds: default narrow portable
//!
//! Sequences compared with `Vec`, with versions that are kept and compared at the end.

use crate::support::effort;
use crate::support::rng::Rng;
use hedgerow::persistent::PersistentVec;
use std::fmt::Debug;

fn compare<T: Clone + Debug + PartialEq>(ours: &PersistentVec<T>, model: &[T]) {
    assert_eq!(ours.len(), model.len());
    assert!(ours.iter().eq(model), "a version has changed");
    assert!(ours.iter().rev().eq(model.iter().rev()));
    assert!((0..=model.len()).all(|index| ours.get(index) == model.get(index)));
}

fn play<T: Clone + Debug + PartialEq>(seed: u64, most: usize, steps: u32, make: impl Fn(u32) -> T) {
    let mut rng = Rng::new(seed);
    let (mut ours, mut model) = (PersistentVec::new(), Vec::new());
    let mut versions: Vec<(PersistentVec<T>, Vec<T>)> = Vec::new();
    for step in 0..steps {
        let at = rng.below(model.len() + 1);
        match rng.below(100) {
            _ if model.len() > most => {
                ours.truncate(most / 2);
                model.truncate(most / 2);
            }
            0..30 => {
                ours.push(make(step));
                model.push(make(step));
            }
            30..60 => {
                ours.insert(at, make(step));
                model.insert(at, make(step));
            }
            60..80 if at < model.len() => assert_eq!(ours.remove(at), model.remove(at)),
            80..85 => assert_eq!(ours.pop(), model.pop()),
            85..90 if at < model.len() => {
                ours[at] = make(step);
                model[at] = make(step);
            }
            90 => {
                let (right, right_model) = (ours.split_off(at), model.split_off(at));
                compare(&right, &right_model);
                let mut left = std::mem::replace(&mut ours, right);
                ours.append(&mut left);
                model = [right_model, model].concat();
            }
            91 => {
                let end = at + rng.below(model.len() - at + 1);
                compare(&ours.slice(at..end), &model[at..end]);
                assert!(ours.range(at..end).rev().eq(model[at..end].iter().rev()));
            }
            92 => {
                ours.append(&mut ours.clone());
                model.extend_from_within(..);
            }
            93 if versions.len() < 20 => versions.push((ours.clone(), model.clone())),
            94 => {
                let steps = 1 + rng.below(200);
                assert!(
                    ours.iter().skip(at).step_by(steps).eq(model.iter().skip(at).step_by(steps))
                );
            }
            _ => assert_eq!((ours.first(), ours.last()), (model.first(), model.last())),
        }
    }
    versions.push((ours.clone(), model.clone()));
    for (ours, model) in &versions {
        compare(ours, model);
    }
    assert!(ours.into_iter().rev().eq(model.into_iter().rev()));
}

#[test]
fn versions_stay_as_they_are() {
    for seed in 0..effort(8) {
        play(seed, [40, 700, 20_000][seed as usize % 3], 4000, |n| n.to_string());
    }
}

#[test]
fn large_and_empty_elements_agree_with_vec() {
    play(100, 300, 2500, |n| [n; 300]);
    play(101, 30_000, 3000, drop);
}

/// Elements that are shared count each time, so their number grows faster than memory.
#[test]
fn too_many_elements_are_refused() {
    let mut doubled = PersistentVec::from([7]);
    let result = std::panic::catch_unwind(move || {
        loop {
            doubled.append(&mut doubled.clone());
        }
    });
    let message = *result.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "capacity overflow");
}
