import { describeChanger } from '../../contract/changer.ts';
import { describeDrive } from '../../contract/drive.ts';
import { LabWorld } from './world.ts';

const maker = { name: 'st, sg and ch of the kernel', make: () => LabWorld.make() };

describeChanger(maker);
describeDrive(maker);
