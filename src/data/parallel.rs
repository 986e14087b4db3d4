//! Work on all cores.

use crate::cores::on_cores;
use crate::error::Result;
use std::sync::Mutex;

/// Does `work` for each of `items` on all cores. Of several faults it returns that of the first item, whichever was done first.
///
/// # Errors
/// Those of `work`.
pub(super) fn in_parallel<T: Send>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let items = Mutex::new(items.enumerate());
    let fault = Mutex::new(None);
    let take = || items.lock().expect("taking an item does not panic").next();
    let share = || {
        while let Some((i, item)) = take() {
            let Err(error) = work(item) else { continue };
            let mut first = fault.lock().expect("keeping a fault does not panic");
            if first.as_ref().is_none_or(|(earlier, _)| i < *earlier) {
                *first = Some((i, error));
            }
        }
    };
    on_cores(usize::MAX, share, share);
    match fault.into_inner().expect("keeping a fault does not panic") {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
