import { SimWorld } from '../sim/world.ts';
import { describeChanger } from './changer.ts';
import { describeDrive } from './drive.ts';

const maker = { name: 'virtual library', make: () => SimWorld.make() };

describeChanger(maker);
describeDrive(maker);
