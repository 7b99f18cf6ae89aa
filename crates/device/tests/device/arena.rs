//! Temporary memory that many users share, and limits.

use crate::own;
use wgrad_device::Error;

#[test]
fn an_arena_takes_what_its_largest_user_does() {
    let Some((_guard, gpu)) = own() else { return };
    let arena = gpu.arena();
    let users = [[1000, 300], [50, 9000], [4000, 4000], [10, 10]];
    let users = users.map(|bytes| (bytes, gpu.needs(&bytes).unwrap()));
    let mut seen = Vec::new();
    for turn in 0..3 {
        for (bytes, needs) in &users {
            let lease = arena.lease(needs).unwrap();
            let ids = [0, 1].map(|i| lease.buffer(i).id());
            assert!((0..2).all(|i| lease.buffer(i).len() >= bytes[i]));
            assert_ne!(ids[0], ids[1]);
            if turn > 0 {
                seen.push(ids);
            }
        }
    }
    assert_eq!(seen[..4], seen[4..], "the same buffers in each turn");
    let most = gpu.class_bytes(9000) + gpu.class_bytes(4000);
    assert_eq!(arena.bytes(), most);
    let memory = gpu.stats().memory;
    assert_eq!((memory.live_bytes, memory.pooled_bytes), (most, 0));
    let more = gpu.needs(&[20_000, 100]).unwrap();
    assert_eq!(
        arena.growth(&more),
        gpu.class_bytes(20_000) - gpu.class_bytes(9000)
    );
    drop(arena);
    assert_eq!(gpu.stats().memory.live_bytes, 0);
}

#[test]
fn what_is_idle_is_given_back_before_an_error() {
    let Some((_guard, gpu)) = own() else { return };
    let (limit, most) = (1 << 20, 900 << 10);
    gpu.set_memory_limit(Some(limit));
    assert_eq!(gpu.memory_limit(), Some(limit));
    let (arena, needs) = (gpu.arena(), gpu.needs(&[100, most]).unwrap());
    drop(arena.lease(&needs).unwrap());
    drop(gpu.alloc(100_000).unwrap());
    let first = gpu.alloc(most).unwrap();
    assert_eq!(arena.bytes(), 0, "its room was needed");
    match gpu.alloc(most) {
        Err(Error::OutOfMemory { bytes }) => assert_eq!(bytes, gpu.class_bytes(most)),
        other => panic!("{other:?}"),
    }
    let lacking = arena.lease(&needs).map(drop).unwrap_err();
    assert_eq!(lacking.buffer, 1);
    assert!(matches!(lacking.error, Error::OutOfMemory { .. }));
    drop(first);
    let lease = arena.lease(&needs).unwrap();
    // Whoever records keeps it.
    assert!(gpu.alloc(most).is_err());
    assert!(lease.buffer(1).len() >= most);
    drop(lease);
    gpu.set_memory_limit(None);
    let second = gpu.alloc(most).unwrap();
    assert!(arena.bytes() >= most);
    gpu.trim();
    assert_eq!(arena.bytes(), 0);
    assert_eq!(gpu.stats().memory.live_bytes, second.capacity());
    let limit = gpu.limits().max_buffer_bytes;
    assert!(matches!(
        gpu.needs(&[4, limit + 1]),
        Err(Error::TooLarge { .. })
    ));
    gpu.check().unwrap();
}
