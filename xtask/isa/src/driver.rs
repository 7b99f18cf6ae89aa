//! Compute pipelines on a Vulkan driver that says what it made of them: statistics and assembly. RADV does so for cards that are
//! not there. Must not know what is compiled.

use crate::convert::Binding;
use ash::{khr, vk};
use std::collections::BTreeMap;
use std::ffi::CStr;

/// A device that compiles.
pub struct Driver {
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    /// What the driver calls the card.
    pub name: String,
}

/// What the driver made of a module.
pub struct Compiled {
    /// Its statistics by name.
    pub statistics: BTreeMap<String, f64>,
    /// Its assembly.
    pub assembly: String,
}

fn failed(what: &str) -> impl Fn(vk::Result) -> String + '_ {
    move |e| format!("{what}: {e}")
}

impl Driver {
    /// The first device of the driver that the environment names.
    ///
    /// # Errors
    /// There is no loader, no device, or it does not tell what it compiles.
    pub fn open() -> Result<Driver, String> {
        // SAFETY: the loader is a Vulkan loader.
        let entry = unsafe { ash::Entry::load() }.map_err(|e| format!("Vulkan's loader: {e}"))?;
        let about = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&about);
        // SAFETY: every structure below lives as long as the call that reads it; what is made is destroyed with `self`.
        unsafe {
            let instance = entry
                .create_instance(&info, None)
                .map_err(failed("instance"))?;
            let all = instance.enumerate_physical_devices();
            let Some(&card) = all.map_err(failed("devices"))?.first() else {
                return Err("no device".into());
            };
            let properties = instance.get_physical_device_properties(card);
            let name = properties.device_name_as_c_str().unwrap_or(c"?");
            let name = name.to_string_lossy().into_owned();
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let extensions = [khr::pipeline_executable_properties::NAME.as_ptr()];
            let mut told = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let mut v13 = vk::PhysicalDeviceVulkan13Features::default()
                .subgroup_size_control(true)
                .compute_full_subgroups(true)
                .shader_zero_initialize_workgroup_memory(true)
                .maintenance4(true);
            let mut v12 = vk::PhysicalDeviceVulkan12Features::default()
                .shader_float16(true)
                .vulkan_memory_model(true)
                .uniform_buffer_standard_layout(true);
            let mut v11 = vk::PhysicalDeviceVulkan11Features::default()
                .storage_buffer16_bit_access(true)
                .uniform_and_storage_buffer16_bit_access(true);
            let mut features = vk::PhysicalDeviceFeatures2::default()
                .push_next(&mut told)
                .push_next(&mut v13)
                .push_next(&mut v12)
                .push_next(&mut v11);
            let info = vk::DeviceCreateInfo::default()
                .push_next(&mut features)
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions);
            let device = instance.create_device(card, &info, None);
            let device = device.map_err(failed("a device that tells what it compiles"))?;
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Driver {
                _entry: entry,
                instance,
                device,
                executables,
                name,
            })
        }
    }

    /// Compiles a module.
    ///
    /// # Errors
    /// The driver does not take it.
    pub fn compile(
        &self,
        spirv: &[u32],
        bindings: &[Binding],
        wave: u32,
    ) -> Result<Compiled, String> {
        let d = &self.device;
        let bound: Vec<_> = bindings
            .iter()
            .map(|b| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(b.number)
                    .descriptor_type(match b.uniform {
                        true => vk::DescriptorType::UNIFORM_BUFFER,
                        false => vk::DescriptorType::STORAGE_BUFFER,
                    })
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        // SAFETY: as in `open`; handles are this device's, and used before they are destroyed.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bound);
            let set = d
                .create_descriptor_set_layout(&info, None)
                .map_err(failed("layout"))?;
            let sets = [set];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = d
                .create_pipeline_layout(&info, None)
                .map_err(failed("layout"))?;
            let info = vk::ShaderModuleCreateInfo::default().code(spirv);
            let module = d
                .create_shader_module(&info, None)
                .map_err(failed("module"))?;
            let mut size = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default()
                .required_subgroup_size(wave);
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main")
                .push_next(&mut size);
            let info = [vk::ComputePipelineCreateInfo::default()
                .flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                )
                .stage(stage)
                .layout(layout)];
            let made = d.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
            let compiled = match made {
                Ok(pipelines) => {
                    let told = self.told(pipelines[0]);
                    d.destroy_pipeline(pipelines[0], None);
                    told.map_err(failed("statistics"))
                }
                Err((_, e)) => Err(format!("pipeline: {e}")),
            };
            d.destroy_shader_module(module, None);
            d.destroy_pipeline_layout(layout, None);
            d.destroy_descriptor_set_layout(set, None);
            compiled
        }
    }

    /// # Safety
    /// The pipeline is this device's, and made so that it can be asked.
    unsafe fn told(&self, pipeline: vk::Pipeline) -> Result<Compiled, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: the caller's; buffers are as long as the driver said.
        unsafe {
            let mut statistics = BTreeMap::new();
            for s in self.executables.get_pipeline_executable_statistics(&info)? {
                let value = match s.format {
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => s.value.f64,
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => s.value.i64 as f64,
                    _ => s.value.u64 as f64,
                };
                statistics.insert(text(&s.name), value);
            }
            let ask = self
                .executables
                .fp()
                .get_pipeline_executable_internal_representations_khr;
            let device = self.device.handle();
            let mut n = 0;
            ask(device, &info, &mut n, std::ptr::null_mut()).result()?;
            let mut all =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); n as usize];
            ask(device, &info, &mut n, all.as_mut_ptr()).result()?;
            let mut room: Vec<Vec<u8>> = all.iter().map(|r| vec![0; r.data_size]).collect();
            for (r, room) in all.iter_mut().zip(&mut room) {
                r.p_data = room.as_mut_ptr().cast();
            }
            ask(device, &info, &mut n, all.as_mut_ptr()).result()?;
            let found = all.iter().position(|r| text(&r.name).contains("Assembly"));
            let assembly = found.map_or(String::new(), |i| {
                let bytes = room[i].split(|&b| b == 0).next().unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            });
            Ok(Compiled {
                statistics,
                assembly,
            })
        }
    }
}

fn text(name: &[std::ffi::c_char]) -> String {
    // SAFETY: the driver ends names with a zero within the array.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    name.to_string_lossy().into_owned()
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: nothing of the device is used any more.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
