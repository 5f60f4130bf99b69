/**
 * `/join.ps1`: the same as `/join.sh` for Windows, in Windows PowerShell 5.1 or later. Pure text. It needs no
 * administrator, and writes below `%LOCALAPPDATA%\\Tablao` only.
 */
import { programFileName, PROGRAM_GZIP_NAME } from "../../protocol/program.ts";
import { NODE_ARCHIVES, NODE_VERSION } from "./node-archives.ts";
import type { JoinFacts } from "./facts.ts";

/** The script. The values of `facts` have only characters that mean nothing to PowerShell (`facts.ts`). */
export function powershellScript({ manager, program, nodeMirror }: JoinFacts): string {
  return `# Makes this machine a worker of the Tablao manager at ${manager}.
#   $env:TABLAO_JOIN='TOKEN'; irm ${manager}/join.ps1 | iex
# With $env:TABLAO_SERVICE='1' the worker becomes a service that starts when you sign in.
# Without TABLAO_JOIN it only installs the command line.
# It needs no administrator. All it writes is below %LOCALAPPDATA%\\Tablao.
& {
  $ErrorActionPreference = 'Stop'
  # The bar of Invoke-WebRequest makes Windows PowerShell many times slower.
  $ProgressPreference = 'SilentlyContinue'
  [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

  $manager = '${manager}'
  $programSha256 = '${program.sha256}'
  $programFile = '${programFileName(program.sha256)}'
  $nodeVersion = '${NODE_VERSION}'
  $nodeMirror = '${nodeMirror}'
  $home_ = Join-Path $env:LOCALAPPDATA 'Tablao'
  $token = $env:TABLAO_JOIN
  Remove-Item Env:TABLAO_JOIN -ErrorAction SilentlyContinue
  $service = $env:TABLAO_SERVICE
  Remove-Item Env:TABLAO_SERVICE -ErrorAction SilentlyContinue
  if ($service -and $service -ne '0' -and $service -ne '1') { throw "tablao: TABLAO_SERVICE must be 1 (make it a service) or 0, not '$service'" }
  $action = @('worker')
  if ($service -eq '1') { $action = @('worker', 'install') }

  function Say($text) { Write-Host "tablao: $text" }
  function Test-Hash($file, $sha256) { (Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash -eq $sha256 }
  function Test-Node($file) {
    try { & $file -e 'process.exit(Number(process.versions.node.split(String.fromCharCode(46))[0]) >= 20 ? 0 : 1)' 2>$null; return $LASTEXITCODE -eq 0 } catch { return $false }
  }

  $temporary = Join-Path $home_ ('join-' + [Guid]::NewGuid().ToString('N'))
  New-Item -ItemType Directory -Force -Path $temporary, (Join-Path $home_ 'program'), (Join-Path $home_ 'bin'), (Join-Path $home_ 'node') | Out-Null
  try {
    $node = (Get-Command node.exe -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1).Source
    if (-not $node -or -not (Test-Node $node)) {
      $folder = Join-Path $home_ "node\\$nodeVersion"
      $node = Join-Path $folder 'node.exe'
      if (-not (Test-Path -LiteralPath $node) -or -not (Test-Node $node)) {
        $machine = $env:PROCESSOR_ARCHITEW6432
        if (-not $machine) { $machine = $env:PROCESSOR_ARCHITECTURE }
        switch ($machine) {
          'AMD64' { $platform = 'win-x64'; $nodeSha256 = '${NODE_ARCHIVES.win.x64}' }
          'ARM64' { $platform = 'win-arm64'; $nodeSha256 = '${NODE_ARCHIVES.win.arm64}' }
          default { throw "tablao: there is no Node here and no official build for $machine. Install Node 20 or newer, and run this again." }
        }
        $name = "node-v$nodeVersion-$platform"
        $archive = Join-Path $temporary 'node.zip'
        Say "fetching Node $nodeVersion from $nodeMirror"
        try { Invoke-WebRequest -UseBasicParsing -Uri "$nodeMirror/v$nodeVersion/$name.zip" -OutFile $archive }
        catch { throw "tablao: $nodeMirror/v$nodeVersion/$name.zip cannot be fetched. Install Node 20 or newer, and run this again. ($($_.Exception.Message))" }
        if (-not (Test-Hash $archive $nodeSha256)) { throw 'tablao: Node did not arrive as it should be (its SHA-256 differs). Nothing was installed.' }
        Expand-Archive -LiteralPath $archive -DestinationPath $temporary
        if (Test-Path -LiteralPath $folder) { Remove-Item -Recurse -Force -LiteralPath $folder }
        Move-Item -LiteralPath (Join-Path $temporary $name) -Destination $folder
        if (-not (Test-Node $node)) { throw "tablao: Node's official build does not run here. Install Node 20 or newer, and run this again." }
      }
    }

    $program = Join-Path $home_ "program\\$programFile"
    if (-not (Test-Path -LiteralPath $program) -or -not (Test-Hash $program $programSha256)) {
      Say 'fetching the program, version ${program.version}'
      $packed = Join-Path $temporary 'program.gz'
      $fetched = Join-Path $temporary 'program.mjs'
      Invoke-WebRequest -UseBasicParsing -Uri "$manager/${PROGRAM_GZIP_NAME}" -OutFile $packed
      $from = [IO.File]::OpenRead($packed); $to = [IO.File]::Create($fetched)
      try { (New-Object IO.Compression.GZipStream $from, ([IO.Compression.CompressionMode]::Decompress)).CopyTo($to) }
      finally { $from.Dispose(); $to.Dispose() }
      if (-not (Test-Hash $fetched $programSha256)) { throw 'tablao: the program did not arrive as it should be (its SHA-256 differs). Nothing was installed.' }
      Move-Item -Force -LiteralPath $fetched -Destination $program
    }
    # Without a mark of its encoding, which 'set /p' would read as text.
    $plain = New-Object System.Text.UTF8Encoding $false
    [IO.File]::WriteAllText((Join-Path $home_ 'program\\current'), "$programFile\`r\`n", $plain)
    [IO.File]::WriteAllText((Join-Path $home_ 'program\\node-path'), "$node\`r\`n", $plain)
    $lines = '@echo off', 'rem Runs the program that join.ps1 installed.', 'setlocal', 'chcp 65001 >nul',
      'set /p file=<"%~dp0..\\program\\current"', 'set /p node=<"%~dp0..\\program\\node-path"',
      'set "TABLAO_COMMAND=%~f0"', '"%node%" "%~dp0..\\program\\%file%" %*'
    $command = Join-Path $home_ 'bin\\tablao.cmd'
    [IO.File]::WriteAllText($command, (($lines -join "\`r\`n") + "\`r\`n"), $plain)
  } finally {
    Remove-Item -Recurse -Force -LiteralPath $temporary -ErrorAction SilentlyContinue
  }

  if (-not $token -and $service -ne '1') {
    Say "installed version ${program.version}: $command"
    Say "sign in:       & '$command' login $manager"
    Say "as a worker:   \`$env:TABLAO_JOIN='TOKEN'; & '$command' worker --manager $manager"
    return
  }
  $env:TABLAO_JOIN = $token
  try { & $command @action --manager $manager }
  finally { Remove-Item Env:TABLAO_JOIN -ErrorAction SilentlyContinue }
}
`;
}
