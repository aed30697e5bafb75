//! What is written in the files of a source tree: their modules, the items of these, and all paths, `use` or not.
//!
//! It knows of Rust what these sources need: `use` with groups, globs and new names, modules in files and inline, the paths
//! in macros (but no `use` there). What is compiled for tests or fuzzers alone is left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, UseTree, Visibility};

/// `crate::wire::frame` is `["wire", "frame"]`.
pub(super) type Path = Vec<String>;

/// The files of a tree by their paths below its root, which is `lib.rs`.
pub(crate) type Texts = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(super) modules: BTreeMap<Path, Module>,
    pub(super) mentions: Vec<Mention>,
}

#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: String,
    pub(super) items: BTreeSet<String>,
    pub(super) uses: Vec<Use>,
}

#[derive(Debug, Clone)]
pub(super) struct Use {
    /// What it is called here; `*` for a glob.
    pub(super) name: String,
    pub(super) path: Path,
    pub(super) is_public: bool,
}

/// A path, where and as it is written.
#[derive(Debug)]
pub(super) struct Mention {
    pub(super) module: Path,
    pub(super) line: usize,
    pub(super) path: Path,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Use,
    PublicUse,
    Code,
    /// The type of an `impl`.
    Impl,
}

impl Sources {
    pub(crate) fn read(texts: &Texts) -> Self {
        let mut sources = Self::default();
        sources.read_file(texts, Path::new(), "lib.rs", "");
        sources
    }

    /// `folder` is where the files of its children are.
    fn read_file(&mut self, texts: &Texts, module: Path, file: &str, folder: &str) {
        let syntax = syn::parse_file(&texts[file]).unwrap_or_else(|error| {
            panic!("{file}:{}: {error}", error.span().start().line);
        });
        let mut reader = Reader {
            sources: self,
            file,
            module,
            children: Vec::new(),
        };
        reader.enter(&syntax.items);
        for child in reader.children {
            let folder = format!("{folder}{}/", child.last().expect("a name"));
            let beside = format!("{}.rs", folder.trim_end_matches('/'));
            let inside = format!("{folder}mod.rs");
            let found = [beside, inside]
                .into_iter()
                .find(|file| texts.contains_key(file));
            let found = found
                .unwrap_or_else(|| panic!("{file}: no file for the module {}", child.join("::")));
            self.read_file(texts, child, &found, &folder);
        }
    }
}

struct Reader<'a> {
    sources: &'a mut Sources,
    file: &'a str,
    module: Path,
    /// Those with a file of their own.
    children: Vec<Path>,
}

impl Reader<'_> {
    fn enter(&mut self, items: &[syn::Item]) {
        let module = Module {
            file: self.file.to_owned(),
            ..Module::default()
        };
        self.sources.modules.insert(self.module.clone(), module);
        items.iter().for_each(|item| self.visit_item(item));
    }

    fn here(&mut self) -> &mut Module {
        self.sources
            .modules
            .get_mut(&self.module)
            .expect("a module is entered first")
    }

    fn mention(&mut self, path: Path, line: usize, place: Place) {
        let module = self.module.clone();
        self.sources.mentions.push(Mention {
            module,
            line,
            path,
            place,
        });
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[&Ident], is_public: bool) {
        let (last, name) = match tree {
            UseTree::Path(it) => {
                return self.use_tree(&it.tree, &[before, &[&it.ident]].concat(), is_public);
            }
            UseTree::Group(it) => {
                return it
                    .items
                    .iter()
                    .for_each(|tree| self.use_tree(tree, before, is_public));
            }
            UseTree::Name(it) => (Some(&it.ident), None),
            UseTree::Rename(it) => (Some(&it.ident), Some(it.rename.to_string())),
            UseTree::Glob(_) => (None, Some("*".to_owned())),
        };
        let mut idents = before.to_vec();
        // `use frame::{self}` names `frame`.
        idents.extend(last.filter(|last| before.is_empty() || *last != "self"));
        let (Some(end), path) = (
            idents.last(),
            idents.iter().map(ToString::to_string).collect::<Path>(),
        ) else {
            return;
        };
        let name = name.unwrap_or_else(|| end.to_string());
        let place = if is_public {
            Place::PublicUse
        } else {
            Place::Use
        };
        self.mention(path.clone(), end.span().start().line, place);
        self.here().uses.push(Use {
            name,
            path,
            is_public,
        });
    }

    /// The paths among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.token_path(&mut path);
                    }
                    path.push(ident);
                    colons = 0;
                }
                other => {
                    self.token_path(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.token_path(&mut path);
    }

    fn token_path(&mut self, path: &mut Vec<Ident>) {
        if let Some(last) = path.last() {
            let line = last.span().start().line;
            self.mention(
                path.iter().map(ToString::to_string).collect(),
                line,
                Place::Code,
            );
        }
        path.clear();
    }
}

/// Whether it is only there when tests or fuzzers are compiled.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args()
            .is_ok_and(|condition| never_holds(&condition)),
        _ => false,
    })
}

fn never_holds(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => ["test", "fuzzing", "doctest"]
            .iter()
            .any(|name| path.is_ident(name)),
        Meta::List(list) => {
            let inner = list.parse_args_with(
                syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated,
            );
            let Ok(inner) = inner else { return false };
            (list.path.is_ident("all") && inner.iter().any(never_holds))
                || (list.path.is_ident("any") && inner.iter().all(never_holds))
        }
        Meta::NameValue(_) => false,
    }
}

/// Visits what is not for tests alone, and notes the names of items.
macro_rules! visits {
    ($($visit:ident($node:ty) $(, named by $($name:ident).+)?;)*) => {
        $(fn $visit(&mut self, node: &'ast $node) {
            if !is_for_tests(&node.attrs) {
                $(let name = node.$($name).+.to_string(); self.here().items.insert(name);)?
                visit::$visit(self, node);
            }
        })*
    };
}

impl<'ast> Visit<'ast> for Reader<'_> {
    visits! {
        visit_item_const(syn::ItemConst), named by ident;
        visit_item_enum(syn::ItemEnum), named by ident;
        visit_item_fn(syn::ItemFn), named by sig.ident;
        visit_item_static(syn::ItemStatic), named by ident;
        visit_item_struct(syn::ItemStruct), named by ident;
        visit_item_trait(syn::ItemTrait), named by ident;
        visit_item_type(syn::ItemType), named by ident;
        visit_item_union(syn::ItemUnion), named by ident;
        visit_impl_item_const(syn::ImplItemConst);
        visit_impl_item_fn(syn::ImplItemFn);
        visit_impl_item_macro(syn::ImplItemMacro);
        visit_impl_item_type(syn::ImplItemType);
        visit_trait_item_const(syn::TraitItemConst);
        visit_trait_item_fn(syn::TraitItemFn);
        visit_arm(syn::Arm);
        visit_expr_block(syn::ExprBlock);
        visit_expr_call(syn::ExprCall);
        visit_field(syn::Field);
        visit_field_value(syn::FieldValue);
        visit_local(syn::Local);
        visit_stmt_macro(syn::StmtMacro);
        visit_variant(syn::Variant);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    /// What a macro makes has its name somewhere among the tokens, or in the macro itself.
    fn visit_item_macro(&mut self, node: &'ast syn::ItemMacro) {
        if !is_for_tests(&node.attrs) {
            let names = identifiers(node.mac.tokens.clone());
            self.here().items.extend(names);
            visit::visit_item_macro(self, node);
        }
    }

    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        if is_for_tests(&node.attrs) {
            return;
        }
        let mut module = self.module.clone();
        module.push(node.ident.to_string());
        let Some((_, items)) = &node.content else {
            return self.children.push(module);
        };
        let outer = std::mem::replace(&mut self.module, module);
        self.enter(items);
        self.module = outer;
    }

    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        if !is_for_tests(&node.attrs) {
            self.use_tree(&node.tree, &[], !matches!(node.vis, Visibility::Inherited));
        }
    }

    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        if is_for_tests(&node.attrs) {
            return;
        }
        if let syn::Type::Path(of) = &*node.self_ty {
            let (path, line) = written(&of.path);
            self.mention(path, line, Place::Impl);
        }
        visit::visit_item_impl(self, node);
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        let (path, line) = written(node);
        self.mention(path, line, Place::Code);
        visit::visit_path(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        if is_for_tests(&node.attrs) {
            return;
        }
        // Nothing else has a method of this name.
        if node.method == "elapsed" && node.args.is_empty() {
            let path = ["Instant", "elapsed"].map(str::to_owned).to_vec();
            self.mention(path, node.method.span().start().line, Place::Code);
        }
        visit::visit_expr_method_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.tokens(node.tokens.clone());
        visit::visit_macro(self, node);
    }
}

fn written(path: &syn::Path) -> (Path, usize) {
    let line = path
        .segments
        .last()
        .map_or(0, |last| last.ident.span().start().line);
    (
        path.segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect(),
        line,
    )
}

fn identifiers(tokens: TokenStream) -> Vec<String> {
    let of = |token| match token {
        TokenTree::Ident(ident) => vec![ident.to_string()],
        TokenTree::Group(group) => identifiers(group.stream()),
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(of).collect()
}
