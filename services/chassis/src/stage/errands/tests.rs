use std::cell::RefCell;
use std::sync::Mutex;

use super::*;

/// A state is when its errand is due; who is asked is noted.
#[derive(Default)]
struct Noting(Mutex<Vec<String>>);

impl Errands<Timestamp> for Noting {
    fn due(
        &self,
        key: &str,
        state: &Timestamp,
        now: Timestamp,
        busy: &BTreeSet<(String, String)>,
    ) -> Vec<Errand<Timestamp>> {
        self.0.lock().unwrap().push(key.to_owned());
        let (key, lane) = (key.to_owned(), "lane".to_owned());
        if *state > now || busy.contains(&(key.clone(), lane.clone())) {
            return Vec::new();
        }
        let run = Box::pin(async {
            let settle: Settle<Timestamp> = Box::new(|_, _| Vec::new());
            settle
        });
        vec![Errand { key, lane, run }]
    }

    fn next_at(&self, state: &Timestamp, now: Timestamp) -> Option<Timestamp> {
        (*state > now).then_some(*state)
    }
}

fn asked(errands: &Noting) -> Vec<String> {
    std::mem::take(&mut *errands.0.lock().unwrap())
}

fn name(number: i64) -> String {
    format!("k{number:05}")
}

#[tokio::test]
async fn only_who_was_saved_or_wanted_to_be_asked_is_asked() {
    let errands = Arc::new(Noting::default());
    let mut book = Book::new(Arc::clone(&errands) as Arc<dyn Errands<Timestamp>>);
    let states: BTreeMap<String, Timestamp> = (0..10_000).map(|n| (name(n), Timestamp(1_000 + n))).collect();
    book.ask(states.keys().cloned());
    book.start(Timestamp(0), |key| states.get(key));
    assert_eq!(asked(&errands).len(), 10_000, "everybody, to begin with");
    book.start(Timestamp(1), |key| states.get(key));
    assert_eq!(asked(&errands), [] as [&str; 0]);
    book.ask([name(7)]);
    book.start(Timestamp(2), |key| states.get(key));
    assert_eq!(asked(&errands), [name(7)], "of ten thousand one has changed");
    assert_eq!(book.next_in(Timestamp(900)), Some(Duration::from_millis(100)));
    book.start(Timestamp(1_001), |key| states.get(key));
    assert_eq!(asked(&errands), [name(0), name(1)]);
    assert!(!book.is_idle());
    book.start(Timestamp(1_001), |key| states.get(key));
    assert_eq!(asked(&errands), [] as [&str; 0], "they are under way");
    let done = book.done().await;
    let (key, _) = book.close(done);
    book.ask([key.clone()]);
    book.start(Timestamp(1_001), |key| states.get(key));
    assert_eq!(asked(&errands), [key], "its lane is free again");
}

#[tokio::test]
async fn who_is_not_saved_is_asked_once_he_is() {
    let errands = Arc::new(Noting::default());
    let mut book = Book::new(Arc::clone(&errands) as Arc<dyn Errands<Timestamp>>);
    let (state, saved) = (Timestamp(10), RefCell::new(true));
    let get = |_: &str| saved.borrow().then_some(&state);
    book.ask([name(0)]);
    book.start(Timestamp(0), get);
    *saved.borrow_mut() = false;
    book.start(Timestamp(20), get);
    assert!(book.is_idle(), "due, but ahead of what is saved");
    *saved.borrow_mut() = true;
    book.ask([name(0)]);
    book.start(Timestamp(20), get);
    assert!(!book.is_idle());
}
