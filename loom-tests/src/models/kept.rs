//! The kept number of the Suppressed strategy: whoever finds it good reads one that is.

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::key::Kept;

#[test]
fn good_numbers_only() {
    explore_model("kept number, two writers and a reader", || {
        let kept = Arc::new(Kept::new());
        // Outdated from 10 on. Both threads find it so, and store a fresh number.
        kept.put(1, 10);
        let writers = [2, 3].map(|number| {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                if kept.get(10).is_none() {
                    kept.put(number, 20);
                }
            })
        });
        let seen = kept.get(10);
        assert!(matches!(seen, None | Some(2 | 3)), "an outdated number: {seen:?}");
        for writer in writers {
            writer.join().expect("no thread panics");
        }
        assert!(matches!(kept.get(19), Some(2 | 3)));
        assert_eq!(kept.get(20), None);
    });
}
