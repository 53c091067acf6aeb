//! Going through an archive as a whole: finding its end and mending it, checking it, giving up its beginning.

use std::collections::BTreeSet;

use anyhow::Context as _;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::chain::{self, Base, Link, Report, Walk};
use super::segment::{self, Flaw};
use super::survey::{Stand, Survey};
use super::{Archive, BASE};

/// So many numbers in a row of which nothing is known are told each by itself; more are told as one.
const HOLE: u64 = 1_000;

impl Archive {
    /// The last segment; `None` in an empty archive. What an interrupted writer left is put right first: a segment that the
    /// index does not list yet is listed, one that was stored in half (on a store that can do such a thing) is put aside.
    ///
    /// # Errors
    /// When the store is away, or the last segment is listed and not whole.
    pub async fn tip(&self) -> anyhow::Result<Option<Link>> {
        let mut listed = self.listed().await?;
        let most = listed.keys().next_back().copied().unwrap_or_default();
        let numbers = self.numbers().await?;
        let base = self.base().await?;
        let unlisted = |number: &&u64| **number >= base.number && !listed.contains_key(*number);
        for number in numbers.iter().filter(unlisted).copied().collect::<Vec<_>>() {
            match self.adopt(number, number > most).await? {
                Some(link) => listed.insert(number, link),
                None => break,
            };
        }
        let last = numbers
            .iter()
            .rev()
            .find_map(|number| listed.get(number))
            .cloned();
        let at = last.as_ref().map_or(0, |link| link.head.number);
        anyhow::ensure!(
            at >= most,
            "{}: the index lists segment {most}, the last one there is {at}: put the segments back, or see \
             `auspex history verify`",
            self.location
        );
        Ok(last)
    }

    /// Lists a segment that is there and not listed.
    async fn adopt(&self, number: u64, is_last: bool) -> anyhow::Result<Option<Link>> {
        let name = chain::name(number);
        let bytes = self.segment(number).await?.unwrap_or_default();
        match segment::open(&bytes) {
            Ok((head, _)) if head.number == number => {
                let link = Link {
                    sha256: segment::hash(&bytes),
                    bytes: bytes.len() as u64,
                    head,
                };
                self.list(link.clone()).await?;
                tracing::info!(name, "was stored and not listed: listed now");
                Ok(Some(link))
            }
            Err(Flaw::Truncated { has, wants }) if is_last => {
                // Nothing of it is lost: it was never listed, so its facts are still on the log.
                let aside = format!("aside/{number:020}-{has}.half");
                let payload = PutPayload::from(bytes);
                self.store.put(&Path::from(aside.as_str()), payload).await?;
                self.remove(&name).await?;
                tracing::warn!(name, has, wants, aside, "was stored in half: put aside");
                Ok(None)
            }
            Ok((head, _)) => anyhow::bail!("{name}: it is segment {}", head.number),
            Err(flaw) => Err(flaw).context(name),
        }
    }

    /// Reads all of it and says whether it is what was written. `wanted`: the hash of a segment, noted elsewhere, that must
    /// be met.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn verify(&self, wanted: Option<String>) -> anyhow::Result<Report> {
        self.walk(wanted, |_, _, _| ()).await
    }

    /// Reads all of it and says what can be put back of it, damaged or not.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn survey(&self) -> anyhow::Result<Survey> {
        let mut stands = Vec::new();
        let report = self.walk(None, |number, bytes, link| {
            stands.push(Stand::of(number, bytes, link))
        });
        let report = report.await?;
        Ok(Survey::of(stands, &report.faults))
    }

    async fn walk(
        &self,
        wanted: Option<String>,
        mut each: impl FnMut(u64, Option<&[u8]>, Option<&Link>),
    ) -> anyhow::Result<Report> {
        let base = self.base().await?;
        let listed = self.listed().await?;
        let there: BTreeSet<u64> = self.numbers().await?.into_iter().collect();
        let known: BTreeSet<u64> = there.iter().chain(listed.keys()).copied().collect();
        let mut walk = Walk::new(&base, wanted);
        let mut next = base.number;
        for last in known.range(base.number..).copied() {
            // A number is a name of a file: anybody may have put one there that is far from all others.
            if last - next > HOLE {
                walk.hole(next, last - 1);
                each(next, None, None);
                next = last;
            }
            for number in next..=last {
                let bytes = match there.contains(&number) {
                    true => self.segment(number).await?,
                    false => None,
                };
                walk.step(number, bytes.as_deref(), listed.get(&number));
                each(number, bytes.as_deref(), listed.get(&number));
                // A large archive is read beside the mesh's own work.
                tokio::task::yield_now().await;
            }
            next = last.saturating_add(1);
        }
        Ok(walk.finish(known.last().copied().unwrap_or_default()))
    }

    /// Gives up segments from the beginning whose facts are all older; the last one always stays. Answers how many.
    ///
    /// # Errors
    /// When the store is away: what is not gone yet goes the next time.
    pub async fn forget(&self, before_ms: i64) -> anyhow::Result<u64> {
        let links = self.index().await?;
        let old = links.iter().take(links.len().saturating_sub(1));
        let old: Vec<&Link> = old
            .take_while(|link| link.head.last_time_ms < before_ms)
            .collect();
        if let Some(last) = old.last() {
            let base = Base {
                number: last.head.number + 1,
                previous: last.sha256.clone(),
            };
            // First where it begins, then away: an interrupted one leaves segments that nobody counts any more.
            let bytes = serde_json::to_vec(&base)?;
            self.store
                .put(&Path::from(BASE), bytes.into())
                .await
                .context(BASE)?;
        }
        let base = self.base().await?;
        for number in self.numbers().await?.into_iter().filter(|n| *n < base.number) {
            self.remove(&chain::name(number)).await?;
        }
        Ok(old.len() as u64)
    }
}
