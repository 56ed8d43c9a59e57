use super::PersistentMap;
use std::collections::BTreeMap;
use std::vec::Vec;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn random_operations_agree_with_std() {
    for seed in 1..200 {
        let mut state = seed * 7919;
        let mut map = PersistentMap::new();
        let mut model = BTreeMap::new();
        let mut kept: Vec<(PersistentMap<u64, std::string::String>, BTreeMap<u64, std::string::String>)> = Vec::new();
        let space = [10, 300, 3000, 100_000][seed as usize % 4];
        for step in 0..6000u64 {
            let key = random(&mut state) % space;
            match random(&mut state) % 100 {
                0..55 => assert_eq!(map.insert(key, std::format!("{step}")), model.insert(key, std::format!("{step}"))),
                55..97 => assert_eq!(map.remove(&key), model.remove(&key)),
                97 => {
                    let mut right = map.split_off(&key);
                    let mut r = model.split_off(&key);
                    assert!(right.iter().eq(r.iter()));
                    map.append(&mut right);
                    model.append(&mut r);
                }
                _ if step % 7 == 0 => kept.push((map.clone(), model.clone())),
                _ => assert!(map.iter().rev().eq(model.iter().rev())),
            }
            assert_eq!(map.len(), model.len());
        }
        assert!(map.iter().eq(model.iter()));
        for (map, model) in &kept {
            assert!(map.iter().eq(model.iter()));
            assert_eq!(map.len(), model.len());
        }
        for key in model.keys() {
            assert_eq!(map.get(key), model.get(key));
        }
        while let Some((key, _)) = model.pop_first() {
            assert!(map.remove(&key).is_some());
        }
        assert_eq!(map.len(), 0);
    }
}
