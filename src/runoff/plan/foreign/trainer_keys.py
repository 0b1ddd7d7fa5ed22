"""Every key that a trainer of the Hugging Face family reads.

Owns: the names, taken from the sources named beside them. Must not: judge them.
"""

from __future__ import annotations

__all__ = ["AXOLOTL", "LLAMA_FACTORY", "TRL"]

_HF = frozenset(
    """
    output_dir per_device_train_batch_size num_train_epochs max_steps learning_rate lr_scheduler_type
    lr_scheduler_kwargs warmup_steps optim optim_args weight_decay adam_beta1 adam_beta2 adam_epsilon
    optim_target_modules gradient_accumulation_steps average_tokens_across_devices max_grad_norm
    label_smoothing_factor bf16 fp16 bf16_full_eval fp16_full_eval tf32 activation_checkpointing
    activation_checkpointing_kwargs gradient_checkpointing gradient_checkpointing_kwargs torch_compile
    torch_compile_backend torch_compile_mode use_liger_kernel liger_kernel_config use_cache neftune_noise_alpha
    torch_empty_cache_steps auto_find_batch_size logging_strategy logging_steps logging_first_step log_on_each_node
    logging_nan_inf_filter include_num_input_tokens_seen log_level log_level_replica disable_tqdm report_to run_name
    project trackio_space_id trackio_bucket_id trackio_static_space_id eval_strategy eval_steps eval_delay
    per_device_eval_batch_size prediction_loss_only eval_on_start eval_do_concat_batches eval_use_gather_object
    eval_accumulation_steps include_for_metrics batch_eval_metrics save_only_model save_strategy save_steps
    save_on_each_node save_total_limit enable_jit_checkpoint push_to_hub hub_token hub_private_repo hub_model_id
    hub_strategy hub_always_push hub_revision load_best_model_at_end metric_for_best_model greater_is_better
    ignore_data_skip restore_callback_states_from_checkpoint full_determinism seed data_seed use_cpu
    accelerator_config parallelism_config dataloader_drop_last dataloader_num_workers dataloader_pin_memory
    dataloader_persistent_workers dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order
    remove_unused_columns label_names train_sampling_strategy length_column_name ddp_find_unused_parameters
    ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout fsdp fsdp_config deepspeed
    debug skip_memory_metrics do_train do_eval do_predict resume_from_checkpoint local_rank
    """.split()  # noqa: SIM905 (a list of 388 quoted words is harder to compare with its source)
)
"""transformers.TrainingArguments, 5.23."""

_TRL = frozenset(
    """
    dataset_name dataset_config dataset_train_split dataset_test_split dataset_streaming ignore_bias_buffers
    model_init_kwargs trust_remote_code router_aux_loss_coef chat_template_path dataset_text_field dataset_kwargs
    dataset_num_proc eos_token max_length truncation_mode shuffle_dataset packing packing_strategy padding_free
    pad_to_multiple_of eval_packing completion_only_loss assistant_only_loss loss_type activation_offloading
    pad_token model_name_or_path model_revision dtype attn_implementation use_peft lora_r lora_alpha lora_dropout
    lora_target_modules lora_target_parameters lora_modules_to_save lora_task_type use_rslora use_dora load_in_8bit
    load_in_4bit bnb_4bit_quant_type use_bnb_nested_quant bnb_4bit_quant_storage datasets streaming test_split_size
    config env
    """.split()  # noqa: SIM905 (a list of 388 quoted words is harder to compare with its source)
)
"""ScriptArguments, SFTConfig, ModelConfig and DatasetMixtureConfig of TRL 1.16, and what TrlParser takes itself."""

_LLAMA_FACTORY = frozenset(
    """
    model_name_or_path adapter_name_or_path adapter_folder cache_dir use_fast_tokenizer resize_vocab
    split_special_tokens add_tokens add_special_tokens new_special_tokens_config init_special_tokens model_revision
    low_cpu_mem_usage rope_scaling flash_attn shift_attn mixture_of_depths use_unsloth use_unsloth_gc
    enable_liger_kernel moe_aux_loss_coef disable_gradient_checkpointing use_reentrant_gc upcast_layernorm
    upcast_lmhead_output train_from_scratch infer_backend offload_folder use_kv_cache use_v1_kernels infer_dtype
    hf_hub_token ms_hub_token om_hub_token print_param_status trust_remote_code quantization_method quantization_bit
    quantization_type double_quantization quantization_device_map image_max_pixels image_min_pixels
    image_do_pan_and_scan crop_to_patches video_max_pixels video_min_pixels video_fps video_maxlen
    use_audio_in_video audio_sampling_rate export_dir export_size export_device export_quantization_bit
    export_quantization_dataset export_quantization_nsamples export_quantization_maxlen export_legacy_format
    export_hub_model_id use_kt kt_cpu_activation kt_weight_path kt_non_expert_weight_path kt_expert_checkpoint_path
    kt_use_lora_experts kt_lora_expert_num kt_lora_expert_intermediate_size _kt_inference_config _kt_config_handle
    _kt_adapter_artifact_path vllm_maxlen vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config
    sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config sglang_lora_backend compute_dtype device_map
    model_max_length block_diag_attn template dataset eval_dataset dataset_dir media_dir cutoff_len train_on_prompt
    mask_history streaming buffer_size mix_strategy interleave_probs overwrite_cache preprocessing_batch_size
    preprocessing_num_workers max_samples eval_num_beams ignore_pad_token_for_loss val_size eval_on_each_dataset
    packing neat_packing tool_format default_system enable_thinking preserve_thinking tokenized_path
    data_shared_file_system ray_num_workers ray_init_kwargs master_addr master_port fp8 fp8_backend
    fp8_enable_fsdp_float8_all_gather enable_torch_profiler profiler_output_dir profiler_wait_steps
    profiler_warmup_steps profiler_active_steps profiler_repeat profiler_record_shapes profiler_profile_memory
    profiler_with_stack profile_modules overwrite_output_dir freeze_trainable_layers freeze_trainable_modules
    freeze_extra_modules additional_target module_dropout oft_rank oft_block_size oft_target create_new_adapter
    lora_alpha lora_dropout lora_rank lora_target loraplus_lr_ratio loraplus_lr_embedding use_rslora use_dora
    pissa_init pissa_iter pissa_convert pref_beta pref_ftx pref_bco_weight pref_loss dpo_label_smoothing
    kto_chosen_weight kto_rejected_weight simpo_gamma ppo_buffer_size ppo_epochs ppo_score_norm ppo_target
    ppo_whiten_rewards ref_model ref_model_adapters ref_model_quantization_bit reward_model reward_model_adapters
    reward_model_quantization_bit reward_model_type ld_alpha use_galore galore_target galore_rank
    galore_update_interval galore_scale galore_proj_type galore_layerwise use_apollo apollo_target apollo_rank
    apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type apollo_layerwise
    apollo_scale_front use_badam badam_mode badam_start_block badam_switch_mode badam_switch_interval
    badam_update_ratio badam_mask_mode badam_verbose use_swanlab swanlab_project swanlab_workspace swanlab_run_name
    swanlab_mode swanlab_api_key swanlab_logdir swanlab_lark_webhook_url swanlab_lark_secret pure_bf16 stage
    finetuning_type use_llama_pro use_adam_mini use_mca use_megatron_bridge megatron_bridge_args use_hyper_parallel
    hyper_parallel_args hyper_parallel_cp_size use_muon use_dft_loss use_asft_loss asft_alpha use_eaft_loss
    eaft_alpha freeze_vision_tower freeze_multi_modal_projector freeze_language_model compute_accuracy
    disable_shuffling early_stopping_steps plot_loss include_effective_tokens_per_second do_sample temperature top_p
    top_k num_beams max_length max_new_tokens repetition_penalty length_penalty skip_special_tokens
    """.split()  # noqa: SIM905 (a list of 388 quoted words is harder to compare with its source)
)
"""The dataclasses of src/llamafactory/hparams, 0.9.6."""

AXOLOTL = frozenset(
    """
    max_packed_sequence_len rope_scaling noisy_embedding_alpha dpo_beta evaluation_strategy eval_table_size
    eval_max_new_tokens dpo_use_logits_to_keep dpo_generate_during_eval dpo_norm_loss rpo_alpha s2_attention
    flash_attn_rms_norm overrides_of_model_config overrides_of_model_kwargs type_of_model revision_of_model
    image_size image_resize_algorithm role_boundaries use_ray ray_run_name ray_num_workers resources_per_worker
    gradio_title gradio_share gradio_server_name gradio_server_port gradio_max_new_tokens gradio_temperature
    lisa_n_layers lisa_step_interval lisa_layers_attribute use_otel_metrics otel_metrics_host otel_metrics_port
    use_trackio trackio_project_name trackio_run_name trackio_space_id use_comet comet_api_key comet_workspace
    comet_project_name comet_experiment_key comet_mode comet_online comet_experiment_config use_mlflow
    mlflow_tracking_uri mlflow_experiment_name mlflow_run_name hf_mlflow_log_artifacts use_wandb wandb_name
    wandb_run_id wandb_mode wandb_project wandb_entity wandb_watch wandb_log_model gradient_accumulation_steps
    micro_batch_size batch_size eval_batch_size auto_find_batch_size train_on_inputs group_by_length learning_rate
    embedding_lr embedding_lr_scale weight_decay optimizer optim_args optim_target_modules torchdistx_path
    lr_scheduler lr_scheduler_kwargs lr_quadratic_warmup cosine_min_lr_ratio cosine_constant_lr_ratio lr_div_factor
    lr_groups adam_epsilon adam_epsilon2 adam_beta1 adam_beta2 adam_beta3 dion_lr dion_momentum dion_rank_fraction
    dion_rank_multiple_of qgalore_rank qgalore_update_proj_gap qgalore_scale qgalore_proj_type qgalore_proj_quant
    qgalore_proj_bits qgalore_proj_group_size qgalore_cos_threshold qgalore_gamma_proj qgalore_queue_size
    max_grad_norm num_epochs jagged_restart_steps jagged_restart_warmup_steps jagged_restart_anneal_steps relora
    relora_prune_ratio relora_prune_method relora_cpu_offload load_in_8bit load_in_4bit adapter lora_model_dir
    lora_r lora_alpha lora_fan_in_fan_out lora_target_modules lora_target_parameters lora_target_linear
    lora_modules_to_save lora_rank_pattern lora_alpha_pattern lora_dropout peft_layers_to_transform
    peft_layers_pattern peft peft_use_dora peft_use_rslora peft_layer_replication peft_init_lora_weights
    peft_trainable_token_indices peft_ensure_weight_tying peft_autocast_adapter_dtype qlora_sharded_model_loading
    lora_on_cpu gptq bnb_config_kwargs loraplus_lr_ratio loraplus_lr_embedding merge_lora merge_method output_dir
    hub_model_id hub_strategy hub_revision save_safetensors base_model base_model_config cls_model_config
    tokenizer_config tokenizer_use_fast tokenizer_legacy tokenizer_use_mistral_common tokenizer_type processor_type
    processor_kwargs tokenizer_save_jinja_files trust_remote_code experimental_skip_move_to_device use_kernels
    model_quantization_config model_quantization_config_kwargs use_onebitllms strict resume_from_checkpoint
    auto_resume_from_checkpoints resize_token_embeddings_to_32x mean_resizing_embeddings shrink_embeddings
    embeddings_skip_upcast reinit_weights trainer_cls rl trl vllm ebft qat quantization reward_model
    dynamic_checkpoint process_reward_model center_rewards_coefficient num_labels dpo_use_weighting
    dpo_label_smoothing precompute_ref_log_probs dpo_use_liger_kernel dpo_padding_free dpo_loss_type
    dpo_loss_weights datasets test_datasets shuffle_merged_datasets shuffle_before_merging_datasets
    dataset_prepared_path dataset_shard_num dataset_shard_idx skip_prepare_dataset num_dataset_shards_to_save
    pretraining_dataset dataset_processes dataset_num_proc dataset_exact_deduplication dataset_keep_in_memory
    dataloader_pin_memory dataloader_num_workers dataloader_prefetch_factor dataloader_drop_last accelerator_config
    remove_unused_columns push_dataset_to_hub hf_use_auth_token device device_map world_size local_rank ddp seed
    ddp_timeout ddp_bucket_cap_mb ddp_broadcast_buffers ddp_find_unused_parameters do_causal_lm_eval
    eval_causal_lm_metrics do_bench_eval bench_dataset bench_split metric_for_best_model greater_is_better
    loss_watchdog_threshold loss_watchdog_patience gc_steps torch_empty_cache_steps gc_collect_steps bf16 fp16 fp8
    fp8_enable_fsdp_float8_all_gather bfloat16 float16 tf32 float32 gradient_checkpointing
    gradient_checkpointing_kwargs selective_checkpointing activation_offloading layer_offloading freeze_mm_modules
    unfrozen_parameters sequence_len excess_length_strategy eval_sequence_len min_sample_len max_prompt_len
    sample_packing sample_packing_group_size sample_packing_bin_size sample_packing_sequentially
    sample_packing_mp_start_method eval_sample_packing pad_to_sequence_len pad_to_multiple_of curriculum_sampling
    multipack_real_batches batch_flattening use_pose pose_split_on_token_ids pose_max_context_len pose_num_chunks
    pretrain_multipack_buffer_size pretrain_multipack_attn pretraining_sample_concatenation streaming
    streaming_multipack_buffer_size xformers_attention sdp_attention flex_attention flex_attn_compile_kwargs
    flash_attention flash_attn_cross_entropy flash_attn_fuse_mlp flash_optimum sage_attention eager_attention
    attn_implementation gemma4_hybrid_attn_impl large_head_attention flash_attn_d512 sdpa_varlen fused_attn_kernel
    experts_implementation quantize_moe_experts scaling_softmax scaling_softmax_factor scaling_softmax_bias
    lora_mlp_kernel lora_qkv_kernel lora_o_kernel lora_embedding_kernel chunked_cross_entropy
    chunked_cross_entropy_num_chunks use_eaft eaft_alpha eaft_k tiled_mlp tiled_mlp_num_shards
    tiled_mlp_use_original_mlp llama4_linearized_experts deepspeed deepcompile fsdp fsdp_config fsdp_version
    fp32_norms fp32_norm_classes fsdp_final_state_dict_type val_set_size dp_shard_size dp_replicate_size
    sequence_parallel_degree context_parallel_size heads_k_stride ring_attn_func tensor_parallel_size special_tokens
    tokens added_tokens_overrides torch_compile torch_compile_backend torch_compile_mode torch_compile_options
    max_steps warmup_steps warmup_ratio eval_steps evals_per_epoch eval_strategy save_steps saves_per_epoch
    save_strategy save_total_limit save_first_step logging_steps early_stopping_patience load_best_model_at_end
    save_only_model use_tensorboard profiler_steps profiler_steps_start include_tokens_per_second include_tkps
    neftune_noise_alpha orpo_alpha simpo_gamma cpo_alpha kto_desirable_weight kto_undesirable_weight rl_beta
    max_memory gpu_memory_limit low_cpu_mem_usage chat_template chat_template_jinja chat_template_kwargs eot_tokens
    default_system_message fix_untrained_tokens is_preprocess preprocess_iterable total_num_tokens
    total_supervised_tokens sample_packing_eff_est axolotl_config_path is_falcon_derived_model
    is_llama_derived_model is_mistral_derived_model is_qwen_derived_model plugins generate_samples
    num_generation_samples generation_max_new_tokens generation_temperature generation_top_p generation_top_k
    generation_prompt_ratio generation_do_sample
    """.split()  # noqa: SIM905 (a list of 388 quoted words is harder to compare with its source)
)
"""AxolotlInputConfig and what it inherits (src/axolotl/utils/schemas), 0.18.0."""

TRL = _HF | _TRL
LLAMA_FACTORY = _HF | _LLAMA_FACTORY
