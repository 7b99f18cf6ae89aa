//! `#[derive(Outputs)]`: a struct of tensors as what a compiled function returns. Must not look at types: a field that is no
//! tensor is the compiler's error at that field.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Path, Result, parse_quote};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let krate = crate_path(&input.attrs)?;
    let Data::Struct(data) = &input.data else {
        let message = "Outputs can be derived for structs only";
        return Err(Error::new_spanned(&input.ident, message));
    };
    let count = data.fields.len();
    let members: Vec<_> = data.fields.members().collect();
    let fields = data.fields.iter().zip(&members);
    let taken = fields.map(|(field, member)| quote_spanned!(field.ty.span()=> self.#member));
    let names: Vec<_> = (0..count).map(|at| quote::format_ident!("t{at}")).collect();
    let (name, (impl_generics, types, clause)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Outputs for #name #types #clause {
            fn into_tensors(self) -> ::std::vec::Vec<#krate::Tensor> {
                ::std::vec![#(#taken),*]
            }

            fn from_tensors(tensors: ::std::vec::Vec<#krate::Tensor>) -> ::core::option::Option<Self> {
                let [#(#names),*] = <[#krate::Tensor; #count]>::try_from(tensors).ok()?;
                ::core::option::Option::Some(#name { #(#members: #names),* })
            }
        }
    })
}

fn crate_path(attrs: &[Attribute]) -> Result<Path> {
    let mut found = parse_quote!(::wgrad::nn);
    for attr in attrs.iter().filter(|a| a.path().is_ident("outputs")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("outputs takes `crate = path`"));
            }
            found = meta.value()?.parse()?;
            Ok(())
        })?;
    }
    Ok(found)
}
