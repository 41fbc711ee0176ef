//! Long lists, page by page. How many objects a page holds follows how large they are: whoever may write objects of a
//! megabyte must not have a replica read hundreds of them at once, and those of everyday come in few pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::calls::{CallError, Calls};

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue", default)]
    continue_: String,
}

/// How many objects the first page holds. All as large as can be, they are 40 MB.
const FIRST: usize = 25;

/// The most objects that a page holds.
const MOST: usize = 500;

/// How large a page is to be, in bytes of JSON.
const WANTED: usize = 4 << 20;

/// How many objects the next page is to hold after one of this many that had this size; growing slowly, since one of
/// small objects says little of those to come.
fn following(objects: usize, bytes: usize) -> usize {
    let fitting = objects.saturating_mul(WANTED) / bytes.max(1);
    fitting.clamp(1, MOST).min(objects.saturating_mul(5))
}

impl Calls {
    /// Hands every object of a collection to `take`, page by page. `selection` is the query's selectors, percent-encoded.
    pub(super) async fn pages<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        selection: &str,
        mut take: impl FnMut(T),
    ) -> Result<(), CallError> {
        let (mut continuation, mut objects) = (String::new(), FIRST);
        loop {
            let token: String = form_urlencoded::byte_serialize(continuation.as_bytes()).collect();
            let page = format!("{path}?limit={objects}&{selection}&continue={token}");
            let text = self
                .call(|client| {
                    let request = http::Request::get(&page).body(Vec::new());
                    async move { client.request_text(request.map_err(kube::Error::HttpError)?).await }
                })
                .await?;
            let page: Page<T> =
                serde_json::from_str(&text).map_err(|error| CallError::Unreadable(error.to_string().into()))?;
            objects = following(objects, text.len());
            page.items.into_iter().for_each(&mut take);
            continuation = page.metadata.continue_;
            if continuation.is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_everyday(25, 50_000, 125)]
    #[case::at_most(500, 1_000_000, 500)]
    #[case::large(25, 10 << 20, 10)]
    #[case::as_large_as_can_be(25, 40 << 20, 2)]
    #[case::beyond(1, 40 << 20, 1)]
    #[case::none(25, 0, 125)]
    #[case::small_again(2, 10_000, 10)]
    fn pages_follow_the_size_of_objects(#[case] objects: usize, #[case] bytes: usize, #[case] next: usize) {
        assert_eq!(following(objects, bytes), next);
    }
}
