//! What calls have used and were refused, counted in memory and written now and then.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use fumehood_capabilities::Witness;
use fumehood_model::{ModuleName, Reached, Timestamp};
use fumehood_policy::{Grant, HttpGrant};
use fumehood_store::Observation;

/// Most different uses of one module that are counted, in memory and for good.
///
/// Ten times what a person would look through. A guest can name as many hosts as it likes.
pub(crate) const MAX_OBSERVED: usize = 200;

/// How often one refusal is logged.
const QUIET: Duration = Duration::from_secs(60);

/// Most refusals of one module that are logged in [`QUIET`]; the review has the others.
const MAX_WARNINGS: usize = 10;

/// Counts what calls use. Cloning is cheap, clones count together.
///
/// Counts are in memory until they are taken, which the dispatcher does every second: a crash loses a second of them. A
/// process that only reads takes them too, and drops them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    modules: Arc<Mutex<HashMap<ModuleName, Page>>>,
    unmet: Arc<OnceLock<Unmet>>,
}

/// Knows what a module asks for and is not granted.
struct Unmet(Box<LookUp>);

type LookUp = dyn Fn(&ModuleName) -> Vec<Grant> + Send + Sync;

impl fmt::Debug for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unmet(…)")
    }
}

#[derive(Debug, Default)]
struct Page {
    uses: HashMap<Grant, Tally>,
    /// When the current minute of warnings began, and how many there were.
    warned: Option<(Instant, usize)>,
    /// What else was logged, and when.
    said: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Tally {
    allowed: u64,
    denied: u64,
    first: Timestamp,
    last: Timestamp,
    warned: Option<Instant>,
}

impl Ledger {
    /// Learn where to look up what a module asks for and is not granted. Only the first time counts.
    pub(crate) fn look_up(&self, unmet: impl Fn(&ModuleName) -> Vec<Grant> + Send + Sync + 'static) {
        self.unmet.get_or_init(|| Unmet(Box::new(unmet)));
    }

    fn unmet(&self, module: &ModuleName) -> Vec<Grant> {
        self.unmet.get().map(|unmet| unmet.0(module)).unwrap_or_default()
    }

    /// What was counted since the last time.
    pub(crate) fn take(&self) -> Vec<Observation> {
        let mut taken = Vec::new();
        self.pages().retain(|module, page| {
            for (grant, tally) in &mut page.uses {
                if tally.allowed + tally.denied > 0 {
                    taken.push(Observation {
                        module: module.clone(),
                        text: grant.to_string(),
                        allowed: std::mem::take(&mut tally.allowed),
                        denied: std::mem::take(&mut tally.denied),
                        first: tally.first,
                        last: tally.last,
                    });
                }
            }
            // Only what keeps a warning quiet is still of use.
            page.uses.retain(|_, tally| tally.warned.is_some_and(|warned| warned.elapsed() < QUIET));
            page.said.retain(|_, said| said.elapsed() < QUIET);
            !page.uses.is_empty() || !page.said.is_empty()
        });
        taken
    }

    /// Forget a module.
    pub(crate) fn forget(&self, module: &ModuleName) {
        self.pages().remove(module);
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<ModuleName, Page>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `what` is to be logged of a module: each thing once in [`QUIET`], and a bounded number of them.
    fn may_say(&self, module: &ModuleName, what: &str) -> bool {
        let mut pages = self.pages();
        let said = &mut pages.entry(module.clone()).or_default().said;
        if said.get(what).is_some_and(|said| said.elapsed() < QUIET) {
            return false;
        }
        said.retain(|_, said| said.elapsed() < QUIET);
        if said.len() >= MAX_WARNINGS {
            return false;
        }
        said.insert(what.to_owned(), Instant::now());
        true
    }

    /// Count a use; whether a refusal is to be logged.
    fn count(&self, module: &ModuleName, grant: &Grant, allowed: bool) -> bool {
        let mut pages = self.pages();
        let page = match pages.get_mut(module) {
            Some(page) => page,
            None => pages.entry(module.clone()).or_default(),
        };
        if !page.uses.contains_key(grant) {
            if page.uses.len() >= MAX_OBSERVED && !(allowed && page.make_room()) {
                return false;
            }
            page.uses.insert(grant.clone(), Tally::new());
        }
        let Some(tally) = page.uses.get_mut(grant) else { return false };
        tally.last = Timestamp::now();
        if allowed {
            tally.allowed += 1;
            return false;
        }
        tally.denied += 1;
        if tally.warned.is_some_and(|warned| warned.elapsed() < QUIET) {
            return false;
        }
        let (since, count) = page.warned.filter(|(since, _)| since.elapsed() < QUIET).unwrap_or((Instant::now(), 0));
        if count >= MAX_WARNINGS {
            return false;
        }
        page.warned = Some((since, count + 1));
        tally.warned = Some(Instant::now());
        true
    }
}

impl Page {
    /// Let go of something that was only refused, for something that is used; whether there was one. A permission with a
    /// wildcard is as many uses as a guest can think of.
    fn make_room(&mut self) -> bool {
        let refused = self.uses.iter().find(|(_, tally)| tally.allowed == 0).map(|(grant, _)| grant.clone());
        refused.is_some_and(|grant| self.uses.remove(&grant).is_some())
    }
}

impl Tally {
    fn new() -> Self {
        let now = Timestamp::now();
        Self { allowed: 0, denied: 0, first: now, last: now, warned: None }
    }
}

impl Witness for Ledger {
    fn note(&self, module: &ModuleName, grant: &Grant, allowed: bool) {
        // What a guest names may be anything; what cannot be granted is not worth keeping.
        let is_grant = allowed || grant.to_string().parse::<Grant>().is_ok_and(|again| again.covers(grant));
        if !is_grant {
            return;
        }
        if self.count(module, grant, allowed) {
            let unmet = self.unmet(module);
            let command = command(module, asked(&unmet, grant).unwrap_or(grant));
            tracing::warn!(
                module.name = %module, grant = %grant, "Module {module} was denied {grant}; to allow it: {command}"
            );
        }
    }

    fn secret_not_set(&self, module: &ModuleName, secret: &str) {
        if self.may_say(module, &format!("secret:{secret}")) {
            tracing::warn!(
                module.name = %module, secret.name = secret,
                "A call of {module} needed secret {secret}, which is granted and not set: fumehood secrets set {secret}"
            );
        }
    }

    fn reached(&self, module: &ModuleName, reached: &Reached, place: &str) {
        match reached {
            Reached::Bound { bound, allowed } => {
                if self.may_say(module, bound.key()) {
                    tracing::warn!(
                        module.name = %module, limit = bound.key(), allowed,
                        "A call of {module} was refused more: it had reached its {reached}"
                    );
                }
            }
            Reached::Quota { allowed, .. } => {
                if self.may_say(module, "a quota") {
                    tracing::warn!(module.name = %module, "{module} used up {allowed} of {place}");
                }
            }
        }
    }
}

/// What of `asks` would have allowed what was refused, and the narrowest of that.
///
/// Its author has said what it is for, and it is no broader than what is needed.
fn asked<'a>(asks: &'a [Grant], refused: &Grant) -> Option<&'a Grant> {
    let answers: Vec<_> = asks.iter().filter(|ask| allows(ask, refused)).collect();
    let narrowest = answers.iter().find(|ask| {
        let ask = bare(ask);
        answers.iter().all(|other| other.covers(&ask))
    });
    narrowest.or(answers.first()).copied()
}

/// Whether `ask` may be about what was refused. Of a request only the method and the host are known.
fn allows(ask: &Grant, refused: &Grant) -> bool {
    match ask {
        Grant::Http(http) => {
            let whole = HttpGrant { path: "/".to_owned(), credential: None, ..http.clone() };
            Grant::Http(whole).covers(refused)
        }
        ask => ask.covers(refused),
    }
}

/// Without the credential, which does not make a grant broader or narrower.
fn bare(grant: &Grant) -> Grant {
    match grant {
        Grant::Http(http) => Grant::Http(HttpGrant { credential: None, ..http.clone() }),
        other => other.clone(),
    }
}

/// The command that allows what was refused.
fn command(module: &ModuleName, grant: &Grant) -> String {
    let example = match grant {
        Grant::Files(files) if files.folder.is_none() => grant.to_string().replacen("files", "files:/FOLDER", 1),
        Grant::Environment(named) | Grant::Config(named) if named.value.is_none() => format!("{grant}=VALUE"),
        _ => grant.to_string(),
    };
    format!("fumehood grants add {module} {}", quoted(&example))
}

/// A text as one word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        text.parse().unwrap()
    }

    #[test]
    fn uses_are_counted_until_they_are_taken() {
        let (ledger, module): (_, ModuleName) = (Ledger::default(), "m".parse().unwrap());
        for allowed in [true, false, true] {
            ledger.note(&module, &grant("secret:A"), allowed);
        }

        let taken: Vec<_> = ledger.take().into_iter().map(|seen| (seen.text, seen.allowed, seen.denied)).collect();

        assert_eq!(taken, [("secret:A".to_owned(), 2, 1)]);
        assert_eq!(ledger.take(), []);
        ledger.note(&module, &grant("secret:A"), false);
        assert_eq!(ledger.take()[0].denied, 1);
    }

    #[test]
    fn a_refusal_is_logged_once_a_minute_and_no_guest_floods_the_log() {
        let (ledger, module): (_, ModuleName) = (Ledger::default(), "m".parse().unwrap());

        assert!(ledger.count(&module, &grant("secret:A"), false));
        assert!(!ledger.count(&module, &grant("secret:A"), false));
        let logged = (0..50).filter(|index| ledger.count(&module, &grant(&format!("secret:S{index}")), false)).count();

        assert_eq!(logged, MAX_WARNINGS - 1);
    }

    #[test]
    fn what_is_said_of_a_module_is_said_once_a_minute_and_in_bounds() {
        let (ledger, module): (_, ModuleName) = (Ledger::default(), "m".parse().unwrap());

        assert!(ledger.may_say(&module, "a"));
        ledger.take();

        assert!(!ledger.may_say(&module, "a"));
        assert!(ledger.may_say(&"other".parse().unwrap(), "a"));
        assert_eq!((0..50).filter(|index| ledger.may_say(&module, &index.to_string())).count(), MAX_WARNINGS - 1);
    }

    #[test]
    fn a_guest_that_tries_everything_fills_only_its_own_page() {
        let (ledger, module): (_, ModuleName) = (Ledger::default(), "m".parse().unwrap());
        for index in 0..1_000 {
            ledger.note(&module, &grant(&format!("http:https://h{index}.example")), false);
        }
        ledger.note(&"other".parse().unwrap(), &grant("secret:A"), true);

        assert_eq!(ledger.take().len(), MAX_OBSERVED + 1);
    }

    #[test]
    fn what_is_used_takes_the_place_of_what_was_refused_and_is_bounded_too() {
        let (ledger, module): (_, ModuleName) = (Ledger::default(), "m".parse().unwrap());
        let note = |index: usize, allowed| {
            ledger.note(&module, &grant(&format!("http:https://h{index}.example")), allowed);
        };

        (0..MAX_OBSERVED).for_each(|index| note(index, false));
        (1_000..1_000 + 2 * MAX_OBSERVED).for_each(|index| note(index, true));

        let taken = ledger.take();
        assert_eq!(taken.len(), MAX_OBSERVED);
        assert!(taken.iter().all(|seen| (seen.allowed, seen.denied) == (1, 0)));
    }

    #[test]
    fn what_is_asked_for_and_covers_a_refusal_is_suggested_and_nothing_broader() {
        let asks =
            ["http:https://api.example.com", "http:GET+POST https://api.example.com/v1,bearer=A", "keyvalue:cache"];
        let asks = asks.map(grant);
        let suggested = |refused: &str| asked(&asks, &grant(refused)).map(ToString::to_string);

        assert_eq!(
            suggested("http:GET https://api.example.com").as_deref(),
            Some("http:GET+POST https://api.example.com/v1,bearer=A")
        );
        assert_eq!(suggested("http:DELETE https://api.example.com").as_deref(), Some("http:https://api.example.com"));
        assert_eq!(suggested("http:GET https://other.example.com"), None);
        assert_eq!(suggested("secret:A"), None);
    }

    #[test]
    fn the_command_is_one_word_of_a_shell_for_each_argument() {
        let module: ModuleName = "m".parse().unwrap();

        assert_eq!(
            command(&module, &grant("http:GET https://x/it's")),
            "fumehood grants add m 'http:GET https://x/it'\\''s'"
        );
        assert_eq!(command(&module, &grant("env:A")), "fumehood grants add m 'env:A=VALUE'");
        assert_eq!(command(&module, &grant("files,at=/d")), "fumehood grants add m 'files:/FOLDER,at=/d,mode=read'");
    }
}
