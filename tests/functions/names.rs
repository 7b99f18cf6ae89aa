//! PyTorch's public names: which of ours each one is where the spelling differs, which groups do not count, and why what
//! is missing is.

/// PyTorch's name, and ours. A spelling that ends in `()` is an operator or a Rust idiom.
pub const ALIASES: &str = "
absolute=abs arccos=acos arccosh=acosh arcsin=asin arcsinh=asinh arctan=atan arctan2=atan2 arctanh=atanh
argwhere=nonzero chain_matmul=multi_dot channel_shuffle=reshape clip=clamp concat=cat concatenate=cat
constant_pad_nd=pad divide=div dsplit=tensor_split hsplit=tensor_split vsplit=tensor_split ger=outer
expand_as=broadcast_to fix=trunc float_power=pow frobenius_norm=matrix_norm nuclear_norm=matrix_norm greater=gt
greater_equal=ge less=lt less_equal=le not_equal=ne inverse=inv pinverse=pinv lu_solve=solve matrix_rank=matrix_rank
max=max_dim min=min_dim moveaxis=movedim msort=sort multiply=mul negative=neg narrow_copy=narrow reciprocal=recip
row_stack=vstack scalar_tensor=scalar split_with_sizes=split std_mean=var_mean subtract=sub swapaxes=transpose
swapdims=transpose trapz=trapezoid triangular_solve=solve_triangular true_divide=div vdot=dot where=where_ adjoint=mt
mT=mt mH=mt T=t H=t affine_grid_generator=affine_grid grid_sampler=grid_sample grid_sampler_2d=grid_sample
grid_sampler_3d=grid_sample as_tensor=new asarray=new frombuffer=from_bytes from_numpy=from_slice tensor=new
empty=zeros empty_like=zeros_like empty_permuted=zeros empty_strided=zeros new_empty=zeros new_empty_strided=zeros
new_full=full new_ones=ones new_tensor=new new_zeros=zeros fill=full_like ravel=flatten reshape_as=reshape
view=reshape view_as=reshape resize_as=reshape type=cast type_as=cast bool=cast byte=cast char=cast double=cast
float=cast half=cast int=cast long=cast short=cast bfloat16=cast dim=rank ndim=rank ndimension=rank
nelement=numel tolist=to_vec numpy=to_vec isreal=isfinite sgn=sign positive=pos real=clone clone=clone contiguous=clone
get_device=device element_size=dtype itemsize=dtype is_floating_point=dtype is_signed=dtype is_complex=dtype
is_same_size=shape is_nonzero=item is_tensor=shape broadcast_shapes=broadcast_tensors result_type=add
promote_types=add can_cast=cast rand=uniform rand_like=uniform randn=normal randn_like=normal randint=integers
randint_like=integers randperm=permutation range=arange_step manual_seed=new initial_seed=state get_rng_state=state
set_rng_state=from_state seed=new alias_copy=clone unsafe_chunk=chunk unsafe_split=split
unsafe_split_with_sizes=split upsample=interpolate upsample_bilinear=interpolate upsample_nearest=interpolate
native_batch_norm=batch_norm_train native_group_norm=group_norm native_layer_norm=layer_norm
native_channel_shuffle=reshape native_norm=vector_norm norm_except_dim=vector_norm
bilinear=einsum fold=fold2d svd_lowrank=svd
pca_lowrank=svd to_dlpack=to_bytes_async std=std narrow=narrow triplet_margin_with_distance_loss=triplet_margin_loss
nbytes=numel dropout=bernoulli triu=triu data=detach stride=shape storage_offset=shape
";

/// What is a layer here.
pub const LAYERS: &str = "
alpha_dropout=AlphaDropout dropout1d=Dropout1d dropout2d=Dropout2d dropout3d=Dropout3d feature_alpha_dropout=FeatureAlphaDropout
feature_dropout=Dropout2d native_dropout=Dropout embedding_bag=EmbeddingBag gru=Gru gru_cell=GruCell lstm=Lstm lstm_cell=LstmCell
multi_head_attention_forward=MultiheadAttention rnn_relu=Rnn rnn_tanh=Rnn rnn_relu_cell=RnnCell rnn_tanh_cell=RnnCell
rrelu=RRelu lp_pool1d=LpPool1d lp_pool2d=LpPool2d lp_pool3d=LpPool3d max_unpool1d=MaxUnpool1d max_unpool2d=MaxUnpool2d
max_unpool3d=MaxUnpool3d fractional_max_pool2d=FractionalMaxPool2d fractional_max_pool3d=FractionalMaxPool3d
gumbel_softmax=GumbelSoftmax ctc_loss=ctc compile=compile save=save load=load
";

/// Groups that do not count, with what belongs to them; a `*` stands for any text.
pub const GROUPS: &[(&str, &str)] = &[
    (
        "sparse",
        "*sparse* *hspmm *smm sspaddmm saddmm spmm ccol_indices* col_indices* crow_indices* row_indices* values values_copy indices indices_copy coalesce is_coalesced dense_dim to_dense segment_reduce",
    ),
    (
        "quantised",
        "q_* *quant* *fake_quant* qscheme int_repr fbgemm_* per_channel_* per_tensor_* choose_qparams_optimized quint* qint* hash_tensor scaled_mm scaled_grouped_mm scaled_addmm grouped_mm float8_* float4_* bits* bit int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7 ScalingType SwizzleType",
    ),
    (
        "distributed",
        "is_distributed is_shared share_memory *_reduce_distributed",
    ),
    (
        "CUDA and other back ends",
        "cuda cudnn_* miopen_* mkldnn_* *mkldnn* ipu xpu mtia mps is_cuda is_ipu is_maia is_mps is_mtia is_vulkan is_xla is_xpu is_cpu is_meta is_vulkan_available cpu pin_memory is_pinned record_stream get_device_module has_lapack has_mkl has_openmp has_spectral compiled_with_cxx11_abi is_storage init_num_threads get_num_threads set_num_threads get_num_interop_threads set_num_interop_threads set_flush_denormal get_float32_matmul_precision set_float32_matmul_precision *deterministic* set_printoptions set_warn_always is_warn_always_enabled batch_norm_backward_* batch_norm_elemt batch_norm_gather_stats* batch_norm_stats batch_norm_update_stats profiler_*",
    ),
    (
        "autograd plumbing",
        "backward grad grad_fn grad_dtype requires_grad is_leaf output_nr register_hook register_post_accumulate_grad_hook retain_grad retains_grad reinforce *autocast* *anomaly* is_grad_enabled enable_grad no_grad set_grad_enabled inference_mode is_inference is_inference_mode_enabled detach_copy volatile *_torch_function* conv_tbc convolution *_copy as_subclass module_load boolean_dispatch assert_int_or_pair",
    ),
    (
        "complex",
        "*complex* cdouble cfloat chalf conj conj_physical is_conj resolve_conj resolve_neg is_neg imag polar angle view_as_real",
    ),
    (
        "deprecated",
        "symeig eig lu storage_type resize typename set_default_tensor_type dequantize",
    ),
    (
        "TorchScript, tracing and storage, which no tensor function is",
        "Optional sym_* fork wait parse_* import_ir_module* merge_type_from_type_comment unify_type_list cond while_loop classproperty get_file_path prepare_multiprocessing_environment thread_safe_generator const_data_ptr data_ptr untyped_storage storage is_set_to dim_order from_file from_dlpack set_default_device get_default_device set_default_dtype get_default_dtype is_contiguous is_nested to_padded_tensor slice_inverse name has_names jagged layout strided *_format memory_format",
    ),
];

/// What is missing, and why.
pub const MISSING: &[(&str, &str)] = &[
    (
        "frexp",
        "needs the bits of a float, which no primitive gives",
    ),
    (
        "nextafter",
        "needs the bits of a float, which no primitive gives",
    ),
    ("igamma", "the incomplete gamma function has no primitive"),
    ("igammac", "the incomplete gamma function has no primitive"),
    (
        "histogramdd",
        "counts over several dimensions at once; histogram has one",
    ),
    (
        "geqrf",
        "the compact form of Householder reflections is not kept; qr gives the factors",
    ),
    (
        "orgqr",
        "the compact form of Householder reflections is not kept; qr gives the factors",
    ),
    (
        "ormqr",
        "the compact form of Householder reflections is not kept; qr gives the factors",
    ),
    (
        "lu_unpack",
        "factors are not given; solve, det and inv use them inside",
    ),
    ("lobpcg", "eigh gives all eigenvalues"),
    (
        "adaptive_max_pool1d_with_indices",
        "the positions are not given",
    ),
    (
        "adaptive_max_pool2d_with_indices",
        "the positions are not given",
    ),
    (
        "adaptive_max_pool3d_with_indices",
        "the positions are not given",
    ),
    (
        "fractional_max_pool2d_with_indices",
        "the positions are not given",
    ),
    (
        "fractional_max_pool3d_with_indices",
        "the positions are not given",
    ),
    ("cholesky_inverse", "cholesky_solve with the unit matrix"),
    ("linear_cross_entropy", "linear and then cross_entropy"),
];
