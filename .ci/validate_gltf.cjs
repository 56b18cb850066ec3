// Runs the Khronos validator over GLB files: node validate_gltf.cjs FILE... Fails on errors and warnings.
//
// The validator (2.0.0-dev.3.10, the newest on npm) does not know attributes that extensions define, which
// KHR_gaussian_splatting has (KhronosGroup/glTF-Validator issue 252). That one complaint is left out, for that extension.

const fs = require('fs');
const path = require('path');
const validator = require('gltf-validator');

const isKnownGap = message => message.code === 'MESH_PRIMITIVE_INVALID_ATTRIBUTE'
    && /\/attributes\/KHR_gaussian_splatting:[A-Z0-9_]+$/.test(message.pointer);

async function main() {
    let failed = false;
    for (const file of process.argv.slice(2)) {
        const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), {
            uri: file,
            maxIssues: 0,
            externalResourceFunction: uri =>
                fs.promises.readFile(path.join(path.dirname(file), decodeURIComponent(uri))).then(b => new Uint8Array(b)),
        });
        const faults = report.issues.messages.filter(message => message.severity <= 1 && !isKnownGap(message));
        faults.forEach(fault => console.error(`${file}: ${fault.code} at ${fault.pointer}: ${fault.message}`));
        failed ||= faults.length > 0;
    }
    process.exit(failed ? 1 : 0);
}

main();
