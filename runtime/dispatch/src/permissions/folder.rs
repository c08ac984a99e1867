//! Which folders of the server a guest may never be given.

use std::{fs, path::Path};

use fumehood_policy::{FileAccess, Grant};

use crate::{DispatchError, dispatcher::Config};

/// `grant` as it can be put in force: complete, and its folder by its one real name. Blocking.
///
/// # Errors
///
/// When it is only a request, or its folder is not there or belongs to the server.
pub(super) fn checked(grant: Grant, config: &Config) -> Result<Grant, DispatchError> {
    if let Some(lacks) = grant.lacks() {
        return Err(DispatchError::Incomplete { grant: Box::new(grant), lacks });
    }
    let Grant::Files(mut files) = grant else { return Ok(grant) };
    let Some(folder) = files.folder.take() else { return Ok(Grant::Files(files)) };
    let refused =
        |why| DispatchError::BadFolder { folder: folder.display().to_string().escape_debug().to_string(), why };
    let Ok(real) = fs::canonicalize(&folder) else { return Err(refused("it is not there, or cannot be opened")) };
    if !real.is_dir() {
        return Err(refused("it is not a folder"));
    }
    if real == Path::new("/") {
        return Err(refused("it is the whole machine"));
    }
    if overlaps(&real, &config.data_dir) {
        return Err(refused("the server keeps its own state there"));
    }
    if files.access == FileAccess::ReadWrite && config.apis_dirs.iter().any(|dir| overlaps(&real, dir)) {
        return Err(refused("the server takes components from there: a guest that writes to it would install modules"));
    }
    if files.access == FileAccess::ReadWrite && config.prompts_dirs.iter().any(|dir| overlaps(&real, dir)) {
        return Err(refused(
            "the server takes prompts from there: a guest that writes to it would speak to every model",
        ));
    }
    files.folder = Some(real);
    let checked = Grant::Files(files.clone());
    if checked.to_string().parse().as_ref() != Ok(&checked) {
        return Err(refused("its real name holds a comma or what is no text"));
    }
    Ok(checked)
}

/// Whether one is in the other.
fn overlaps(folder: &Path, own: &Path) -> bool {
    let own = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
    folder.starts_with(&own) || own.starts_with(folder)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, sync::Arc};

    use fumehood_model::ByteSize;
    use fumehood_policy::{Limits, OnNewPermissions, Trusted};

    use super::*;

    fn why(result: Result<Grant, DispatchError>) -> &'static str {
        match result {
            Err(DispatchError::BadFolder { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn folders_of_the_server_are_never_given_away_under_any_name() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        for name in ["data", "data/components", "apis", "prompts", "srv", "a,b"] {
            fs::create_dir(place(name)).unwrap();
        }
        fs::write(place("file"), "").unwrap();
        symlink(place("data"), place("link")).unwrap();
        symlink(place("a,b"), place("comma")).unwrap();
        symlink("/", place("slash")).unwrap();
        let config = Config {
            limits: Limits::default(),
            max_component: ByteSize::mib(1),
            versions: 1,
            apis_dirs: vec![place("apis")],
            reload_apis: true,
            prompts_dirs: vec![place("prompts")],
            read_only: false,
            data_dir: place("data"),
            on_new_permissions: OnNewPermissions::Serve,
            trust: Arc::default(),
            on_changed_definitions: fumehood_policy::OnChangedDefinitions::Serve,
            confirmed_by: fumehood_policy::ConfirmedBy::Caller,
            trusted: Trusted::default(),
            scratch: None,
            results: None,
            jobs: crate::JobsConfig::default(),
            history: crate::HistoryConfig::default(),
        };
        let check = |name: &str, mode: &str| {
            let text = format!("files:{},at=/d,mode={mode}", place(name).display());
            checked(text.parse().unwrap(), &config)
        };

        for name in ["data", "data/components", "link", "link/components", "."] {
            assert_eq!(why(check(name, "read")), "the server keeps its own state there", "{name}");
        }
        assert_eq!(why(check("slash", "read")), "it is the whole machine");
        assert_eq!(why(check("missing", "read")), "it is not there, or cannot be opened");
        assert_eq!(why(check("file", "read")), "it is not a folder");
        assert_eq!(why(check("comma", "read")), "its real name holds a comma or what is no text");
        assert!(why(check("apis", "read-write")).starts_with("the server takes components from there"));
        assert!(check("apis", "read").is_ok());
        assert!(why(check("prompts", "read-write")).starts_with("the server takes prompts from there"));
        assert!(check("srv", "read-write").is_ok());
    }

    #[test]
    fn a_request_is_no_grant() {
        let config = Config {
            limits: Limits::default(),
            max_component: ByteSize::mib(1),
            versions: 1,
            apis_dirs: Vec::new(),
            reload_apis: true,
            prompts_dirs: Vec::new(),
            read_only: false,
            data_dir: "/data".into(),
            on_new_permissions: OnNewPermissions::Serve,
            trust: Arc::default(),
            on_changed_definitions: fumehood_policy::OnChangedDefinitions::Serve,
            confirmed_by: fumehood_policy::ConfirmedBy::Caller,
            trusted: Trusted::default(),
            scratch: None,
            results: None,
            jobs: crate::JobsConfig::default(),
            history: crate::HistoryConfig::default(),
        };

        for text in ["env:A", "config:A", "files,at=/d"] {
            assert!(matches!(checked(text.parse().unwrap(), &config), Err(DispatchError::Incomplete { .. })), "{text}");
        }
    }
}
