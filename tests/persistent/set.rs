//! builds: default
//!
//! Sets compared with std's.

use crate::support::rng::Rng;
use hedgerow::persistent::PersistentSet;
use std::collections::BTreeSet;

#[test]
fn sets_agree_with_std() {
    let mut rng = Rng::new(3);
    let mut sets = [const { PersistentSet::new() }; 2];
    let mut models = [const { BTreeSet::new() }; 2];
    for _ in 0..20_000 {
        let (which, value) = (rng.below(2), rng.below(900));
        let (set, model) = (&mut sets[which], &mut models[which]);
        match rng.below(20) {
            0..10 => assert_eq!(set.insert(value), model.insert(value)),
            10..17 => assert_eq!(set.remove(&value), model.remove(&value)),
            17 => assert_eq!((set.first(), set.last()), (model.first(), model.last())),
            18 => assert!(set.range(value..).rev().eq(model.range(value..).rev())),
            _ => assert_eq!(set.take(&value), model.take(&value)),
        }
        assert_eq!(set.contains(&value), model.contains(&value));
        if rng.one_in(500) {
            compare(&sets, &models);
        }
        if rng.one_in(2000) {
            sets[0] = sets[1].clone();
            models[0] = models[1].clone();
        }
    }
    let [a, b] = &mut sets;
    a.append(b);
    let [model, other] = &mut models;
    model.append(other);
    assert!(a.iter().eq(&*model) && b.is_empty());
    assert!(a.clone().into_iter().rev().eq(model.clone().into_iter().rev()));
}

fn compare([a, b]: &[PersistentSet<usize>; 2], [model, other]: &[BTreeSet<usize>; 2]) {
    assert!(a.iter().eq(model) && b.iter().eq(other));
    assert!(a.union(b).eq(model.union(other)) && (a | b).iter().eq(&(model | other)));
    assert!(a.intersection(b).eq(model.intersection(other)) && (a & b).iter().eq(&(model & other)));
    assert!(a.difference(b).eq(model.difference(other)) && (a - b).iter().eq(&(model - other)));
    assert!(
        a.symmetric_difference(b).eq(model.symmetric_difference(other))
            && (a ^ b).iter().eq(&(model ^ other))
    );
    assert_eq!(a.is_subset(b), model.is_subset(other));
    assert_eq!(a.is_disjoint(b), model.is_disjoint(other));
    assert!((a & b).is_subset(a) && a.is_superset(&(a & b)) && (a - b).is_disjoint(b));
    for (index, value) in model.iter().enumerate() {
        assert_eq!((a.get_index(index), a.rank(value)), (Some(value), Ok(index)));
    }
}
