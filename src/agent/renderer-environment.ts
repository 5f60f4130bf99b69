/**
 * The environment of a renderer: what is on a list, and what the owner of the machine names with
 * `--env`. A list of what is left out would never be complete: the owner of a machine may keep any
 * secret in a service's environment. Pure.
 */

/** Variables by name, of all systems: finding programs, folders and the language of the user. */
const NAMES = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TMPDIR",
  "TMP",
  "TEMP",
  // Display, sound, fonts.
  "DISPLAY",
  "WAYLAND_DISPLAY",
  "XAUTHORITY",
  "FONTCONFIG_FILE",
  "FONTCONFIG_PATH",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_CACHE_HOME",
  "XDG_DATA_DIRS",
  "XDG_CONFIG_DIRS",
  // Libraries of drivers that are not where the system looks.

  "LD_LIBRARY_PATH",
  "DRI_PRIME",
  "NVIDIA_VISIBLE_DEVICES",
  "NVIDIA_DRIVER_CAPABILITIES",
  "MESA_LOADER_DRIVER_OVERRIDE",
  // Colours: https://opencolorio.readthedocs.io/en/latest/guides/using_ocio/using_ocio.html#environment-variables
  "OCIO",
  "OCIO_ACTIVE_DISPLAYS",
  "OCIO_ACTIVE_VIEWS",
  // Windows: its libraries and Blender's folders are found by these.
  "SYSTEMROOT",
  "SYSTEMDRIVE",
  "WINDIR",
  "COMSPEC",
  "PATHEXT",
  "OS",
  "USERNAME",
  "USERPROFILE",
  "HOMEDRIVE",
  "HOMEPATH",
  "APPDATA",
  "LOCALAPPDATA",
  "PROGRAMDATA",
  "ALLUSERSPROFILE",
  "PUBLIC",
  "PROGRAMFILES",
  "PROGRAMFILES(X86)",
  "PROGRAMW6432",
  "COMMONPROGRAMFILES",
  "COMMONPROGRAMFILES(X86)",
  "COMMONPROGRAMW6432",

  "NUMBER_OF_PROCESSORS",
  "PROCESSOR_ARCHITECTURE",
  "PROCESSOR_IDENTIFIER",
  "PROCESSOR_LEVEL",
  "PROCESSOR_REVISION",
];
/**
 * Families of variables: languages, graphics and compute drivers, threads, and the folders that
 * Blender reads (https://docs.blender.org/manual/en/latest/advanced/command_line/arguments.html#environment-variables).
 */
const FAMILIES =
  /^(LC_|CUDA_|OPTIX_|__NV_|__GL|__EGL_|__VK_|GPU_|HIP_|ROCR_|ROCM_|HSA_|AMD_|ZE_|ONEAPI_|SYCL_|OCL_|OPENCL_|VK_|EGL_|LIBGL_|MESA_|GALLIUM_|LP_|OMP_|KMP_|BLENDER_USER_|BLENDER_SYSTEM_)[A-Z0-9_]*$/;
const LISTED = new Set(NAMES);

/** Names in a listed family that look like a secret all the same, and values that are one. */
const SECRET_NAME = /TOKEN|SECRET|PASS|CREDENTIAL|_KEY$|_PAT$|_AUTH$|_DSN$/i;
const SECRET_VALUE = /tablao_[a-z]+_[A-Za-z0-9_-]{8}|:\/\/[^/\s:@]*:[^/\s@]+@/;

/**
 * The environment of a process: what of `own` is on the list or among `named`, and then `added`.
 * Windows compares names without case.
 */
export function childEnvironment(
  own: NodeJS.ProcessEnv,
  added: Record<string, string>,
  named: readonly string[] = [],
  platform: NodeJS.Platform = process.platform,
): NodeJS.ProcessEnv {
  const folded = (name: string): string => (platform === "win32" ? name.toUpperCase() : name);
  const wanted = new Set(named.map(folded));
  const isListed = (name: string): boolean => LISTED.has(name) || (FAMILIES.test(name) && !SECRET_NAME.test(name));
  // Of two names that are one to Windows, a process would get either.
  const replaced = new Set(platform === "win32" ? Object.keys(added).map(folded) : []);
  const kept = Object.entries(own).filter(
    ([name, value]) =>
      !replaced.has(folded(name)) &&
      (wanted.has(folded(name)) || (isListed(folded(name)) && !SECRET_VALUE.test(value ?? ""))),
  );
  return { ...Object.fromEntries(kept), ...added };
}

/**
 * What is wrong with a name for `--env`; null when the renderer may have the variable. Ours are
 * refused: they hold the tokens of the farm.
 */
export function whyNotPassed(name: string, own: NodeJS.ProcessEnv): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return `--env ${name}: a variable's name has letters, digits and '_', and no digit first; give the name only, not a value`;
  if (/^TABLAO_/i.test(name))
    return `--env ${name}: TABLAO_ variables are not given to renderers, because they hold tokens`;
  return own[name] === undefined ? `--env ${name}: this variable is not set` : null;
}

/** A line about a colour configuration that is not there; null when there is nothing to say. */
export function ocioProblem(own: NodeJS.ProcessEnv, exists: (path: string) => boolean): string | null {
  const path = own["OCIO"];
  // `ocio://` names a configuration inside the library.
  if (path !== undefined && path !== "" && !path.startsWith("ocio://") && !exists(path))
    return `OCIO is '${path}', and there is no such file: renderers will use other colours`;
  return null;
}
