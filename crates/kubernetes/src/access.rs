//! How the API server is found and reached.

use kube_client::Config;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Where the API server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Found by itself: the files that `KUBECONFIG` names; else the pod's service account, where
    /// `KUBERNETES_SERVICE_HOST` is set; else `~/.kube/config`, if it is there.
    Discover,
    /// A kubeconfig file, its current context.
    Kubeconfig(PathBuf),
    /// An URL, without credentials: `kubectl proxy`, tests.
    Url(String),
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A kubeconfig that cannot be read or understood.
    #[error("the kubeconfig {from} cannot be used: {cause}; compare `kubectl config view`")]
    Kubeconfig {
        /// Path, or the variable that names it.
        from: String,
        /// What is wrong.
        cause: String,
    },
    /// In a pod without a usable service account.
    #[error(
        "KUBERNETES_SERVICE_HOST is set, but the service account cannot be used: {0}; set automountServiceAccountToken: true"
    )]
    ServiceAccount(String),
    /// `~/.kube/config` would run a program.
    #[error(
        "{0} takes its credentials from a program, which only a kubeconfig that was named may start; set KUBECONFIG={0}"
    )]
    Program(String),
    /// Not an URL.
    #[error("'{0}' is not the URL of an API server: {1}")]
    Url(String, String),
    /// The client refuses the configuration.
    #[error("the API server's configuration cannot be used: {0}")]
    Client(String),
}

impl Access {
    /// The configuration; `None` where nothing says that there is a cluster.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub(crate) async fn find(&self) -> Result<Option<Config>, AccessError> {
        let mut config = match self {
            Self::Url(url) => {
                let parsed = url.parse::<http::Uri>().map_err(|e| AccessError::Url(url.clone(), e.to_string()))?;
                if parsed.host().is_none() || !matches!(parsed.scheme_str(), Some("http" | "https")) {
                    let wanted = "http:// or https:// and a host, please".to_string();
                    return Err(AccessError::Url(url.clone(), wanted));
                }
                Config::new(parsed)
            }
            Self::Kubeconfig(path) => from_file(path).await?,
            Self::Discover => match discover(|name| std::env::var_os(name)).await? {
                Some(config) => config,
                None => return Ok(None),
            },
        };
        // Our own pauses: kube's retries neither heed Retry-After nor tell that they happened.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        Ok(Some(config))
    }
}

async fn discover(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Config>, AccessError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(paths) = set("KUBECONFIG") {
        let refuse = |cause: String| {
            let from = format!("KUBECONFIG={}", paths.to_string_lossy());
            AccessError::Kubeconfig { from, cause }
        };
        // As kubectl does: the files are one, and those that are not there are left out.
        let mut whole: Option<Kubeconfig> = None;
        for path in std::env::split_paths(&paths).filter(|path| path.exists()) {
            let one = Kubeconfig::read_from(&path).map_err(|e| refuse(told(&e)))?;
            whole = Some(match whole {
                None => one,
                Some(before) => before.merge(one).map_err(|e| refuse(told(&e)))?,
            });
        }
        let whole = whole.ok_or_else(|| refuse("it names no file that is there".into()))?;
        let made = Config::from_custom_kubeconfig(whole, &KubeConfigOptions::default()).await;
        return made.map(Some).map_err(|e| refuse(told(&e)));
    }
    if set("KUBERNETES_SERVICE_HOST").is_some() {
        return Config::incluster_env().map(Some).map_err(|e| AccessError::ServiceAccount(told(&e)));
    }
    let Some(path) = set("HOME").map(|home| Path::new(&home).join(".kube/config")).filter(|path| path.exists()) else {
        return Ok(None);
    };
    let config = from_file(&path).await?;
    // Found by chance, by a program that may be root: it must not start another one.
    if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
        return Err(AccessError::Program(path.display().to_string()));
    }
    Ok(Some(config))
}

async fn from_file(path: &Path) -> Result<Config, AccessError> {
    let refuse = |cause: String| AccessError::Kubeconfig { from: path.display().to_string(), cause };
    let read = Kubeconfig::read_from(path).map_err(|e| refuse(told(&e)))?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(|e| refuse(told(&e)))
}

/// An error with its causes, each once.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &Path)]) -> Result<Option<Config>, AccessError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str().to_owned())
        };
        runtime.block_on(discover(variable))
    }

    fn kubeconfig(server: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        )
    }

    #[test]
    fn where_nothing_says_that_there_is_a_cluster_there_is_none() {
        let home = tempfile::tempdir().expect("a folder");
        assert!(found(&[]).expect("no error").is_none());
        assert!(found(&[("HOME", home.path()), ("KUBECONFIG", Path::new(""))]).expect("no error").is_none());
    }

    #[test]
    fn kubeconfig_goes_before_the_file_in_the_home() {
        let home = tempfile::tempdir().expect("a folder");
        let (named, usual) = (home.path().join("named"), home.path().join(".kube/config"));
        std::fs::create_dir(home.path().join(".kube")).expect("a folder");
        std::fs::write(&usual, kubeconfig("https://usual:1", "{token: t}")).expect("written");
        std::fs::write(&named, kubeconfig("https://named:1", "{token: t}")).expect("written");
        let config = found(&[("HOME", home.path())]).expect("usable").expect("found");
        assert_eq!(config.cluster_url.host(), Some("usual"));
        let both = std::env::join_paths([Path::new("/nowhere"), &named]).expect("a list of paths");
        let config = found(&[("HOME", home.path()), ("KUBECONFIG", Path::new(&both))]).expect("usable").expect("found");
        assert_eq!(config.cluster_url.host(), Some("named"));
        assert!(matches!(found(&[("KUBECONFIG", Path::new("/nowhere"))]), Err(AccessError::Kubeconfig { .. })));
        std::fs::write(&named, "{").expect("written");
        let error = found(&[("KUBECONFIG", &named)]).expect_err("not YAML").to_string();
        assert!(error.contains("named") && error.contains("kubectl config view"), "{error}");
    }

    #[test]
    fn a_program_for_credentials_is_started_only_from_a_kubeconfig_that_was_named() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).expect("a folder");
        let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/false}}";
        std::fs::write(&path, kubeconfig("https://usual:1", user)).expect("written");
        let error = found(&[("HOME", home.path())]).expect_err("refused");
        assert!(matches!(error, AccessError::Program(_)), "{error}");
        assert!(found(&[("KUBECONFIG", &path)]).expect("usable").is_some());
    }

    #[test]
    fn a_pod_without_a_service_account_says_so() {
        let error = found(&[("KUBERNETES_SERVICE_HOST", Path::new("10.96.0.1"))]).expect_err("not in a pod");
        assert!(error.to_string().contains("automountServiceAccountToken"), "{error}");
    }
}
