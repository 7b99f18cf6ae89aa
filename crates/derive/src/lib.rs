//! `#[derive(Module)]`: makes a struct or an enum a tree of named tensors. It generates the visits of `wgrad_nn::Module`, and
//! `#[derive(Outputs)]` a struct of tensors, and nothing else; names, state and checks are provided by the trait. It knows no tensor type and depends on no crate
//! of wgrad: the paths it emits start at `::wgrad::nn` unless `#[module(crate = …)]` says otherwise.

mod enums;
mod outputs;

use proc_macro2::{TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Generics, Index, Path, Result, Type,
    parse_quote,
};

/// Implements `Module` for a struct: each field is visited under its name (its number in a tuple struct). Of an enum the
/// fields of the variant that is there are visited; the one nameless field of a variant stands under the enum's own path.
///
/// - `#[module(buffer)]` on a field: its tensors are state, not parameters.
/// - `#[module(skip)]` on a field: its tensors are no part of the tree's state; it is watched like any other.
/// - `#[module(watch)]` on a field: it is no module, but `Hash + Clone`, and is watched.
/// - `#[module(constant)]` on a field: it is not visited at all, and must not change.
/// - `#[module(crate = path)]` on the struct: where `wgrad_nn` is found; `::wgrad::nn` if absent.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// Implements `Outputs` for a struct of tensors, so that a compiled function can return it. `#[outputs(crate = path)]` on the
/// struct says where `wgrad_nn` is found; `::wgrad::nn` if absent.
#[proc_macro_derive(Outputs, attributes(outputs))]
pub fn derive_outputs(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    outputs::expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// What becomes of a field.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Module,
    Buffer,
    Skip,
    Watch,
    Constant,
}

impl Role {
    /// Whether the field's tensors are part of the tree.
    fn has_tensors(self) -> bool {
        matches!(self, Role::Module | Role::Buffer)
    }

    /// Whether the field's type is a module.
    fn is_module(self) -> bool {
        !matches!(self, Role::Watch | Role::Constant)
    }
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let krate = crate_path(&input.attrs)?;
    let data = match &input.data {
        Data::Struct(data) => data,
        Data::Enum(data) => return enums::expand(input, data, &krate),
        Data::Union(_) => {
            let message = "Module can be derived for structs and enums only";
            return Err(Error::new_spanned(&input.ident, message));
        }
    };
    let fields = members(&data.fields)?;
    let visits = fields
        .iter()
        .filter(|(_, role, _)| role.has_tensors())
        .map(|(f, role, at)| visit(&krate, f, *role, *at, false));
    let visits_mut = fields
        .iter()
        .filter(|(_, role, _)| role.has_tensors())
        .map(|(f, role, at)| visit(&krate, f, *role, *at, true));
    let visits_host = fields
        .iter()
        .map(|(f, role, at)| visit_host(&krate, f, *role, *at));
    let duplicate = duplicate(&krate, &fields);
    let mut generics = input.generics.clone();
    let modules = fields.iter().filter(|(_, role, _)| role.is_module());
    bound(&mut generics, &krate, modules.map(|(f, ..)| &f.ty));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Module for #name #type_generics #where_clause {
            #[allow(unused_variables, reason = "a struct may hold no tensors")]
            fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, #krate::Kind, &#krate::Tensor)) {
                #(#visits)*
            }

            #[allow(unused_variables, reason = "a struct may hold no tensors")]
            fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, #krate::Kind, &mut #krate::Tensor)) {
                #(#visits_mut)*
            }

            #[allow(unused_variables, reason = "a struct may be empty")]
            fn visit_host(&mut self, visitor: &mut dyn FnMut(#krate::Host<'_>)) {
                #(#visits_host)*
            }

            fn duplicate(&self) -> ::core::option::Option<Self> {
                #duplicate
            }
        }
    })
}

/// The fields with their roles and positions.
fn members(fields: &Fields) -> Result<Vec<(&Field, Role, usize)>> {
    let fields = fields.iter().enumerate();
    fields
        .map(|(at, field)| Ok((field, role(&field.attrs)?, at)))
        .collect()
}

fn visit(krate: &Path, field: &Field, role: Role, at: usize, mutable: bool) -> TokenStream {
    let (member, name) = member(field, at);
    let (method, borrow) = if mutable {
        (quote!(visit_mut), quote!(&mut))
    } else {
        (quote!(visit), quote!(&))
    };
    let visitor = match role {
        Role::Buffer => quote!(&mut |path, _, tensor| visitor(path, #krate::Kind::Buffer, tensor)),
        _ => quote!(visitor),
    };
    quote_spanned! { field.ty.span() =>
        #krate::Module::#method(#borrow self.#member, &#krate::join(path, #name), #visitor);
    }
}

fn visit_host(krate: &Path, field: &Field, role: Role, at: usize) -> TokenStream {
    let (member, name) = member(field, at);
    let shown = match role {
        Role::Constant => return TokenStream::new(),
        Role::Watch => quote! {
            visitor(#krate::Host::Value(&mut #krate::Watched(&mut self.#member)));
        },
        Role::Skip => quote! {
            #krate::Module::visit_host(&mut self.#member, visitor);
            #krate::Module::visit_mut(&mut self.#member, "", &mut |name, _, tensor| {
                visitor(#krate::Host::Enter(&name));
                visitor(#krate::Host::Tensor(tensor));
                visitor(#krate::Host::Leave);
            });
        },
        Role::Module | Role::Buffer => quote! {
            #krate::Module::visit_host(&mut self.#member, visitor);
        },
    };
    quote_spanned! { field.ty.span() =>
        visitor(#krate::Host::Enter(&#name));
        #shown
        visitor(#krate::Host::Leave);
    }
}

/// A copy of every field; none if one is not visited.
fn duplicate(krate: &Path, fields: &[(&Field, Role, usize)]) -> TokenStream {
    if fields.iter().any(|(_, role, _)| *role == Role::Constant) {
        return quote!(::core::option::Option::None);
    }
    let copies = fields.iter().map(|(field, role, at)| {
        let index = Index::from(*at);
        let place = match &field.ident {
            Some(ident) => quote!(#ident),
            None => quote!(#index),
        };
        match role {
            Role::Watch => quote!(#place: ::core::clone::Clone::clone(&self.#place)),
            _ => {
                quote_spanned!(field.ty.span() => #place: #krate::Module::duplicate(&self.#place)?)
            }
        }
    });
    quote!(::core::option::Option::Some(Self { #(#copies),* }))
}

/// How a field is reached, and the name it is visited under.
fn member(field: &Field, at: usize) -> (TokenStream, String) {
    let index = Index::from(at);
    match &field.ident {
        Some(ident) => (quote!(#ident), ident.unraw().to_string()),
        None => (quote!(#index), at.to_string()),
    }
}

fn crate_path(attrs: &[Attribute]) -> Result<Path> {
    let mut path: Path = parse_quote!(::wgrad::nn);
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("a struct takes only `crate = path`"));
            }
            path = meta.value()?.call(Path::parse_mod_style)?;
            Ok(())
        })?;
    }
    Ok(path)
}

fn role(attrs: &[Attribute]) -> Result<Role> {
    let mut role = Role::Module;
    for attr in attrs.iter().filter(|a| a.path().is_ident("module")) {
        attr.parse_nested_meta(|meta| {
            role = match () {
                () if meta.path.is_ident("buffer") => Role::Buffer,
                () if meta.path.is_ident("skip") => Role::Skip,
                () if meta.path.is_ident("watch") => Role::Watch,
                () if meta.path.is_ident("constant") => Role::Constant,
                () => {
                    let message = "a field takes `buffer`, `skip`, `watch` or `constant`";
                    return Err(meta.error(message));
                }
            };
            Ok(())
        })?;
    }
    Ok(role)
}

/// Fields whose type names a type parameter must be modules, and the whole may cross threads.
fn bound<'a>(generics: &mut Generics, krate: &Path, types: impl Iterator<Item = &'a Type>) {
    let names: Vec<String> = generics
        .type_params()
        .map(|p| p.ident.to_string())
        .collect();
    if names.is_empty() {
        return;
    }
    let clause = generics.make_where_clause();
    clause
        .predicates
        .push(parse_quote!(Self: ::core::marker::Send + ::core::marker::Sync + 'static));
    for ty in types.filter(|ty| mentions(quote!(#ty), &names)) {
        clause.predicates.push(parse_quote!(#ty: #krate::Module));
    }
}

fn mentions(tokens: TokenStream, names: &[String]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident.to_string()),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}
