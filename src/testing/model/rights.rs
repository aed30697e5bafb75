//! Users, their passwords, and what they may do.

use std::collections::BTreeMap;

use super::Model;
use super::channel::Link;
use super::pattern::Pattern;
use super::refusal::{Outcome, Refusal};
use super::request::{Caller, ChannelKey, LinkId, Permissions, Version};
use super::resource::Resource;
use super::vhost::VirtualHost;

#[derive(Debug)]
pub(super) struct User {
    password: String,
    /// By virtual host.
    rights: BTreeMap<String, Rights>,
}

#[derive(Debug)]
struct Rights {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Configure,
    Write,
    Read,
}

/// Who asks, and where.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) vhost: String,
    /// None: an operator.
    pub(super) channel: Option<ChannelKey>,
    user: Option<String>,
}

impl Actor {
    pub(super) fn link(&self) -> Option<LinkId> {
        self.channel.map(|channel| channel.link)
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

impl Model {
    pub(crate) fn add_vhost(&mut self, vhost: &str) {
        self.vhosts
            .entry(vhost.to_owned())
            .or_insert_with(VirtualHost::new);
    }

    /// Who may log in; and do nothing, until it has permissions.
    pub(crate) fn add_user(&mut self, user: &str, password: &str) {
        let user = self.users.entry(user.to_owned()).or_insert_with(|| User {
            password: String::new(),
            rights: BTreeMap::new(),
        });
        password.clone_into(&mut user.password);
    }

    /// Refuses in words an expression that it does not understand, and a user whom nobody knows.
    pub(crate) fn set_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> Result<(), String> {
        let rights = Rights {
            configure: Pattern::new(&permissions.configure)?,
            write: Pattern::new(&permissions.write)?,
            read: Pattern::new(&permissions.read)?,
        };
        let Some(known) = self.users.get_mut(user) else {
            return Err(format!("there is no user {user:?}"));
        };
        known.rights.insert(vhost.to_owned(), rights);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn has_user(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Whether the password is that user's.
    pub(crate) fn is_password(&self, user: &str, password: &str) -> bool {
        let user = self.users.get(user);
        user.is_some_and(|user| user.password == password)
    }

    /// `connection.open`: refused with 530 in RabbitMQ's words. An accepted one is there until `disconnected`.
    pub(crate) fn connected(&mut self, link: LinkId, user: &str, vhost: &str) -> Outcome<()> {
        if !self.vhosts.contains_key(vhost) {
            let text = format!("vhost {vhost} not found");
            return Err(Refusal::connection(530, text));
        }
        let may = |user: &User| user.rights.contains_key(vhost);
        if !self.users.get(user).is_some_and(may) {
            let text = format!("access to vhost '{vhost}' refused for user '{user}'");
            return Err(Refusal::connection(530, text));
        }
        let (user, vhost) = (user.to_owned(), vhost.to_owned());
        self.links.insert(link, Link { user, vhost });
        Ok(())
    }

    pub(super) fn actor(&self, caller: Caller<'_>) -> Outcome<Actor> {
        match caller {
            Caller::Operator(vhost) if self.vhosts.contains_key(vhost) => Ok(Actor {
                vhost: vhost.to_owned(),
                channel: None,
                user: None,
            }),
            Caller::Operator(vhost) => {
                let text = format!("vhost {vhost} not found");
                Err(Refusal::connection(530, text))
            }
            Caller::Channel(channel) => {
                let Some(link) = self.links.get(&channel.link) else {
                    return Err(Refusal::internal(
                        "a request of a connection that is not there",
                    ));
                };
                Ok(Actor {
                    vhost: link.vhost.clone(),
                    channel: Some(channel),
                    user: Some(link.user.clone()),
                })
            }
        }
    }

    /// Refuses what the actor's user may not do.
    pub(super) fn check(&self, actor: &Actor, right: Right, resource: Resource<'_>) -> Outcome<()> {
        let Some(name) = &actor.user else {
            return Ok(());
        };
        let resource = match resource.name {
            "" => Resource::exchange(resource.vhost, "amq.default"),
            _ => resource,
        };
        let rights = self.users.get(name);
        let rights = rights.and_then(|user| user.rights.get(&actor.vhost));
        let (verb, pattern) = match right {
            Right::Configure => ("configure", rights.map(|rights| &rights.configure)),
            Right::Write => ("write", rights.map(|rights| &rights.write)),
            Right::Read => ("read", rights.map(|rights| &rights.read)),
        };
        if pattern.is_some_and(|pattern| pattern.is_match(resource.name)) {
            return Ok(());
        }
        let verb = match self.settings.version {
            Version::V3 => String::new(),
            Version::V4 => format!("{verb} "),
        };
        let text = format!("{verb}access to {resource} refused for user '{name}'");
        Err(Refusal::channel(403, text))
    }
}
